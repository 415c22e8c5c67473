"""Claim paths and claim matchers: how a rule asks something of verified claims.

A path names one claim. `realm_access.roles` walks objects by key; a claim whose own name has
dots or slashes is written as an RFC 6901 JSON pointer (`/https:~1~1acme.example~1roles`). Only
objects are walked: the position in a list means nothing in claims.

Matchers, as written in the policy:

    tier: gold                      equal (same JSON type; 1 and 1.0 are the same number)
    tier: [gold, silver]            the same as {any_of: [gold, silver]}
    groups: {contains: ml}          a list with this element, or a string with this
                                    space-separated word (OAuth `scope`, RFC 6749 section 3.3)
    tier: {any_of: [gold, silver]}  equal to one of them, or a list with at least one of them
    sub: {glob: "svc-*"}            a string that matches, or a list with such a string
    groups: {exists: true}          present and not null; `exists: false` is the opposite

Several keys in one matcher must all hold. An absent or null claim satisfies only `exists: false`.

Invariants: everything is decided when the policy is loaded except the look-up itself; a matcher
never raises on any claim value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from promptward.auth.globs import GlobSet
from promptward.exchange import JSON
from promptward.spelling import did_you_mean

Matcher = Callable[[JSON], bool]

# generous for real policies, and keeps a mistake in one rule from slowing every request
MAX_PATH_CHARACTERS = 256
MAX_VALUES = 256


def parse_path(text: str) -> tuple[str, ...]:
    """The keys of a claim path.

    Raises:
        ValueError: not a path; the message says how to write it.
    """
    if not text or len(text) > MAX_PATH_CHARACTERS:
        raise ValueError(f"expected a claim path of 1 to {MAX_PATH_CHARACTERS} characters")
    if text.startswith("/"):
        return tuple(_unescape(part) for part in text[1:].split("/"))
    keys = tuple(text.split("."))
    if "/" in text or not all(keys):
        pointer = "/" + text.replace("~", "~0").replace("/", "~1")
        raise ValueError(f"not a dotted claim path; for a claim with that name write {pointer!r}")
    return keys


def _unescape(part: str) -> str:
    if "~" in part.replace("~0", "").replace("~1", ""):
        raise ValueError("in a JSON pointer '~' is written '~0' (RFC 6901)")
    return part.replace("~1", "/").replace("~0", "~")


def find(claims: Mapping[str, JSON], keys: Sequence[str]) -> JSON:
    """The value at a path, or None when it is absent (or null)."""
    value: JSON = claims.get(keys[0])
    for key in keys[1:]:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def compile_matcher(written: JSON) -> Matcher:
    """The predicate of a matcher as written in the policy.

    Raises:
        ValueError: not a matcher; the message says what was expected.
    """
    if isinstance(written, dict):
        return _compile_operators(written)
    if isinstance(written, list):
        return _any_of(written)
    return _equals(written)


def _compile_operators(written: Mapping[str, JSON]) -> Matcher:
    unknown = sorted(set(written) - set(_OPERATORS))
    if unknown or not written:
        known = ", ".join(sorted(_OPERATORS))
        message = f"expected a value, a list or a mapping of {known}"
        if unknown:
            message += f"; unknown: {', '.join(unknown)}{did_you_mean(unknown[0], _OPERATORS)}"
        raise ValueError(message)
    parts = [_OPERATORS[name](argument) for name, argument in written.items()]
    if len(parts) == 1:
        return parts[0]
    return lambda claim: all(part(claim) for part in parts)


def _key(value: JSON) -> tuple[str, JSON] | None:
    """A hashable stand-in with JSON equality (true is not 1); None for lists, objects and null."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int | float):
        return ("number", value)
    return ("string", value) if isinstance(value, str) else None


def _required_key(value: JSON, where: str) -> tuple[str, JSON]:
    key = _key(value)
    if key is None:
        raise ValueError(f"{where}expected a string, number or boolean")
    return key


def _equals(written: JSON) -> Matcher:
    wanted = _required_key(written, "")
    if isinstance(written, str):
        return lambda claim: claim == written  # a string equals only a string
    return lambda claim: _key(claim) == wanted


def _any_of(written: JSON) -> Matcher:
    if not isinstance(written, list) or not 1 <= len(written) <= MAX_VALUES:
        raise ValueError(f"any_of: expected a list of 1 to {MAX_VALUES} values")
    wanted = frozenset(_required_key(v, "any_of: ") for v in written)

    def match(claim: JSON) -> bool:
        if isinstance(claim, list):
            return any(_key(item) in wanted for item in claim)
        return _key(claim) in wanted

    return match


def _contains(written: JSON) -> Matcher:
    wanted = _required_key(written, "contains: ")
    if isinstance(written, str):
        return _contains_text(written)
    return lambda claim: isinstance(claim, list) and any(_key(item) == wanted for item in claim)


def _contains_text(wanted: str) -> Matcher:
    is_word = " " not in wanted

    def match(claim: JSON) -> bool:
        if isinstance(claim, list):
            return wanted in claim
        return is_word and isinstance(claim, str) and wanted in claim.split(" ")

    return match


def _glob(written: JSON) -> Matcher:
    if not isinstance(written, str) or not 1 <= len(written) <= MAX_PATH_CHARACTERS:
        raise ValueError(f"glob: expected a string of 1 to {MAX_PATH_CHARACTERS} characters")
    globs = GlobSet((written,))

    def match(claim: JSON) -> bool:
        if isinstance(claim, list):
            return any(isinstance(item, str) and globs.matches(item) for item in claim)
        return isinstance(claim, str) and globs.matches(claim)

    return match


def _exists(written: JSON) -> Matcher:
    if not isinstance(written, bool):
        raise ValueError("exists: expected true or false")
    return lambda claim: (claim is not None) is written


_OPERATORS: dict[str, Callable[[JSON], Matcher]] = {
    "any_of": _any_of,
    "contains": _contains,
    "exists": _exists,
    "glob": _glob,
}
