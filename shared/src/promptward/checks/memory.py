"""Results of analyses of texts seen before: chat histories come back whole with every turn.

A conversation of 64 KB is sent again, a little longer, with each question, and an application's
system prompt and tool definitions with all of them. What a pure analysis said of a text once it
will say again, so it is looked up by a digest of the text.

Invariants: no text is kept, only a keyed 128-bit digest and a result without text (scores, rule
ids, offsets). The key is random per process and differs by caller, so that nobody can tell from the
time an answer takes what somebody else has sent. Results are the same with and without a memory.
Bounded by `most`; safe to use from several threads (each step is one operation on a dict).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import TypeVar, cast

Result = TypeVar("Result")

MIN_CHARS = 64
"""Shorter texts are analysed anew: that costs little more than the digest."""

_DIGEST_BYTES = 16  # 2**64 texts until two collide by chance; without the key none by intent
_ABSENT = object()


class TextMemory:
    """Remembers up to `most` results, the older half forgotten at once.

    Args:
        key: 32 random bytes of this process.
        most: results kept; 0 for none.
    """

    __slots__ = ("_half", "_key", "_older", "_younger")

    def __init__(self, key: bytes, most: int) -> None:
        self._key = key
        self._half = most // 2
        self._younger: dict[bytes, object] = {}
        self._older: dict[bytes, object] = {}

    def of(self, caller: str) -> Recall:
        """What is remembered for one caller."""
        named = caller.encode("utf-8", "surrogatepass")
        return Recall(self, blake2b(named, key=self._key, digest_size=32).digest())

    @property
    def remembers(self) -> bool:
        """Whether anything is ever kept."""
        return self._half > 0

    def find(self, digest: bytes) -> object:
        """The result kept under `digest`, or a marker that is no result."""
        found = self._younger.get(digest, _ABSENT)
        if found is _ABSENT:
            found = self._older.get(digest, _ABSENT)
            if found is not _ABSENT:
                self.keep(digest, found)
        return found

    def keep(self, digest: bytes, result: object) -> None:
        """Remember `result`."""
        if len(self._younger) >= self._half:
            if not self._half:
                return
            self._older, self._younger = self._younger, {}
        self._younger[digest] = result


class Recall:
    """One caller's part of a `TextMemory`."""

    __slots__ = ("_key", "_memory")

    def __init__(self, memory: TextMemory, key: bytes) -> None:
        self._memory = memory
        self._key = key

    def result(
        self,
        analysis: str,
        text: str,
        analyse: Callable[[], Result],
        is_small: Callable[[Result], bool] = lambda _: True,
    ) -> Result:
        """`analyse()`, or what it returned for this text before.

        Args:
            analysis: names the analysis and everything but the text that its result depends on;
                without NUL characters.
            text: what is analysed.
            analyse: pure; its result holds no text.
            is_small: whether a result may be remembered, where results can be of any size.
        """
        if len(text) < MIN_CHARS or not self._memory.remembers:
            return analyse()
        digest = self._digest(analysis, text)
        found = self._memory.find(digest)
        if found is not _ABSENT:
            return cast(Result, found)  # `analysis` names who kept it
        result = analyse()
        if is_small(result):
            self._memory.keep(digest, result)
        return result

    def get(self, analysis: str, text: str) -> object | None:
        """What `keep` was last given for this text, however short; None when nothing is known."""
        found = self._memory.find(self._digest(analysis, text))
        return None if found is _ABSENT else found

    def keep(self, analysis: str, text: str, result: object) -> None:
        """Remember a result that took more than a function to get; see `result`."""
        self._memory.keep(self._digest(analysis, text), result)

    def _digest(self, analysis: str, text: str) -> bytes:
        named = f"{analysis}\0{text}".encode("utf-8", "surrogatepass")
        return blake2b(named, key=self._key, digest_size=_DIGEST_BYTES).digest()


NO_MEMORY = TextMemory(b"", 0)
NO_RECALL = NO_MEMORY.of("")
"""Remembers nothing."""
