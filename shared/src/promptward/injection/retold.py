"""Where a view differs from an earlier one: what stands there as it did is not searched again.

A view with one disguise undone repeats most of the text line for line.
Invariants: between two ranges a text holds what the earlier one holds, in one piece
(property-tested); linear time.
"""

from __future__ import annotations

TELLING_LINE = 24  # characters from which a line says where the earlier text goes on


def changes(text: str, earlier: str) -> list[tuple[int, int]]:
    """The ranges of `text`, line breaks before them included, where it is not as in `earlier`.

    Where it only goes on elsewhere, the line break is all.
    """
    old = earlier.split("\n")
    places = {line: at for at, line in enumerate(old) if len(line) >= TELLING_LINE}
    out: list[tuple[int, int]] = []
    following = at = 0  # line of the earlier text, place in this one
    for line in text.split("\n"):
        end = at + len(line) + 1
        if following >= len(old) or line != old[following]:
            place = places.get(line)
            out.append((max(0, at - 1), end if place is None else at))
            following = following if place is None else place
        following += 1
        at = end
    if following != len(old):
        out.append((max(0, len(text) - 1), len(text)))
    return out


def around(ranges: list[tuple[int, int]], reach: int, size: int) -> list[tuple[int, int]]:
    """`ranges` widened by `reach` on both sides within a text of `size`, those that meet as one."""
    out: list[tuple[int, int]] = []
    for start, end in ranges:
        low, high = max(0, start - reach), min(size, end + reach)
        if out and low <= out[-1][1]:
            out[-1] = out[-1][0], max(high, out[-1][1])
        else:
            out.append((low, high))
    return out
