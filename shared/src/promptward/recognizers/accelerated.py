"""Optional: google-re2's `Set` tells in one pass which of many patterns can match a text at all.

For patterns around literals. Those of numbers, with their counted repeats, make its states explode
on texts full of digits (measured: 5 to 10 ms per KB), so they are not given to it.

Off unless the package `google-re2` is installed (extra `re2`); never in Pyodide. Other packages
install a module named `re2` too, with another interface: those are left alone. The set only says
*no*: what it lets through is matched by the same code as without it, so the results are the same
(property-tested), and whatever goes wrong in it means "all of them".

Invariants: the patterns given to the set match a superset: neighbours, context and validators are
left out and long repeats have no upper bound. RE2 reports no error when its memory runs out, it
reports no match; a pattern that matches every text stands guard against that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
    max_length,
)

Gate = Callable[[str], frozenset[int] | None]

# A counted repeat costs RE2 states; longer ones lose their upper bound. With 16 here, hexadecimal
# text cost 0.9 ms per KB, with 8 it costs 0.01.
_LONGEST_COUNTED = 8
_MAX_MEM_BYTES = 8 << 20  # states RE2 may keep per set; it starts over when they are full


def re2_source(node: Node) -> str:
    """RE2 source that matches at least what `node` matches."""
    match node:
        case Chars(ranges):
            return _class(ranges)
        case Boundary():
            return ""
        case Concat(items):
            return "".join(map(re2_source, items))
        case Alternation(options):
            return f"(?:{'|'.join(map(re2_source, options))})"
        case Repeat(item, least, most, _):
            source = f"(?:{re2_source(item)})"
            if (least, most) == (0, 1):
                return source + "?"
            if most * max_length(item) > _LONGEST_COUNTED:
                low = min(least, _LONGEST_COUNTED // max(1, max_length(item)))
                return source + f"{{{low},}}"
            return source + f"{{{least},{most}}}"


def _class(ranges: Sequence[tuple[int, int]]) -> str:
    """RE2 has no surrogates; a text that holds one is not given to it."""
    parts = []
    for low, high in ranges:
        for a, b in ((low, min(high, 0xD7FF)), (max(low, 0xE000), high)):
            if a <= b:
                parts.append(f"\\x{{{a:x}}}-\\x{{{b:x}}}")
    return f"[{''.join(parts)}]" if parts else "[^\\x00-\\x{10ffff}]"


def _google_re2() -> Any:
    """The module, or None when there is none or it is another package's."""
    try:
        import re2  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return None
    known = hasattr(re2, "Options") and hasattr(re2, "error")
    return re2 if known and hasattr(getattr(re2, "Set", None), "SearchSet") else None


def re2_gate(nodes: Sequence[Node]) -> Gate | None:
    """A function text -> indexes of the nodes that may match in it (None: all may).

    Returns:
        None when google-re2 is not installed.
    """
    re2 = _google_re2()
    if re2 is None:
        return None
    options = re2.Options()
    options.max_mem = _MAX_MEM_BYTES
    options.log_errors = False
    patterns = re2.Set.SearchSet(options)
    try:
        indexes = [patterns.Add(re2_source(node)) for node in nodes]
        guard = patterns.Add("")
        patterns.Compile()
    except re2.error:
        return None
    if [*indexes, guard] != list(range(len(nodes) + 1)):
        return None  # one was not taken: none can be trusted

    def gate(text: str) -> frozenset[int] | None:
        try:
            found = frozenset(patterns.Match(text))
        except UnicodeEncodeError:  # a lone surrogate
            return None
        return found - {guard} if guard in found else None

    return gate
