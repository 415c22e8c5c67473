"""Pseudonymize: a reversible placeholder per value, and the restorer that gives originals back.

A placeholder is `<ENTITY_n_nonce>`: `n` counts the distinct values of one request, the nonce is
fresh random text per request, so a caller cannot have somebody else's value restored by guessing.
A nonce that already occurs in the caller's own text is refused by `unused_in`.

The vault (placeholder -> original) is personal data: it lives as long as the exchange and is
never logged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from promptward.errors import ExchangeError
from promptward.operators.edits import Edit, render


class Pseudonymize:
    """Replace by a placeholder; the same value of the same entity gets the same one.

    Args:
        nonce: lower-case hexadecimal text, at least 6 characters, random per request.
        vault: placeholders of the same request made before (another text of it); extended.

    Attributes:
        vault: placeholder -> original.
    """

    def __init__(self, nonce: str, vault: dict[str, str] | None = None) -> None:
        if len(nonce) < 6 or any(c not in "0123456789abcdef" for c in nonce):
            raise ValueError("the nonce must be at least 6 lower-case hexadecimal characters")
        self.nonce = nonce
        self.vault: dict[str, str] = {} if vault is None else vault
        self._known: dict[tuple[str, str], str] = {}
        for placeholder, original in self.vault.items():
            entity = placeholder[1:-1].rsplit("_", 2)[0]
            self._known[entity, original] = placeholder

    def unused_in(self, text: str) -> bool:
        """Whether `text` is free of the nonce; otherwise the caller must draw another one."""
        return self.nonce not in text

    def apply(self, entity: str, value: str, /) -> str:
        known = self._known.get((entity, value))
        if known is None:
            known = f"<{entity}_{len(self.vault) + 1}_{self.nonce}>"
            self._known[entity, value] = known
            self.vault[known] = value
        return known

    def __repr__(self) -> str:
        return f"Pseudonymize({len(self.vault)} values)"


class Placeholders:
    """What restorers know of a vault; made once for all texts of an exchange.

    Args:
        vault: placeholder -> original; every placeholder starts with `<` and ends with `>`. It must
            not change any more.

    Attributes:
        vault: as given.
        longest: characters of the longest placeholder, 0 without any.
    """

    __slots__ = ("_sorted", "longest", "vault")

    def __init__(self, vault: Mapping[str, str]) -> None:
        for placeholder in vault:
            inner = placeholder[1:-1]
            if placeholder[:1] != "<" or placeholder[-1:] != ">" or "<" in inner or ">" in inner:
                raise ExchangeError("invalid_vault", "a pseudonym in the vault is malformed", 500)
        self.vault = vault
        self.longest = max(map(len, vault), default=0)
        self._sorted = sorted(vault)

    def one_begins_with(self, text: str) -> bool:
        """Whether `text` is the beginning of a placeholder and not all of it."""
        at = bisect_right(self._sorted, text)
        return at < len(self._sorted) and self._sorted[at].startswith(text)

    def __repr__(self) -> str:
        return f"Placeholders({len(self.vault)} values)"


class Restorer:
    """Incremental: puts originals back where the vault's placeholders stand.

    For every way of cutting the input the output is the same. Only a suffix that could be the
    beginning of a placeholder is held back, so `pending` never exceeds the longest placeholder.

    Args:
        placeholders: those of the exchange, or its vault.
    """

    def __init__(self, placeholders: Placeholders | Mapping[str, str]) -> None:
        if not isinstance(placeholders, Placeholders):
            placeholders = Placeholders(placeholders)
        self._placeholders = placeholders
        self._vault = placeholders.vault
        self._longest = placeholders.longest
        self._pending = ""
        self.restored = 0

    @property
    def pending(self) -> int:
        """Characters held back."""
        return len(self._pending)

    def advance(self, text: str) -> list[Edit]:
        """Take more text; return edits of what is certain."""
        text = self._pending + text
        hold = text.rfind("<", max(0, len(text) - self._longest + 1))
        if hold >= 0 and self._placeholders.one_begins_with(text[hold:]):
            self._pending, text = text[hold:], text[:hold]
        else:
            self._pending = ""
        return self._restore(text)

    def settle(self, separator: str = "") -> list[Edit]:  # noqa: ARG002 - needs no context
        """Everything so far is complete."""
        rest, self._pending = self._pending, ""
        return [Edit(rest)] if rest else []

    def feed(self, text: str) -> str:
        """Take more text; return what is certain."""
        return render(self.advance(text))

    def close(self) -> str:
        """The text ended; return the rest. Idempotent."""
        return render(self.settle())

    def _restore(self, text: str) -> list[Edit]:
        edits: list[Edit] = []
        done = 0
        at = text.find("<") if self._vault else -1
        while at >= 0:
            end = text.find(">", at, at + self._longest) + 1
            original = self._vault.get(text[at:end]) if end else None
            if original is not None:
                edits += (Edit(text[done:at]), Edit(text[at:end], original))
                self.restored += 1
                done = end
            at = text.find("<", max(at + 1, done))
        edits.append(Edit(text[done:]))
        return edits
