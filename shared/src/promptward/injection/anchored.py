"""Searching a pattern around the literals that every match of it holds.

A pattern of the detector spans a sentence and holds words of a short list; trying it at every
place of a long text costs far more than looking for those words. The lists are read off the
pattern itself, so they cannot disagree with it.
Invariants: the first match found is the one that `re.Pattern.search` finds (property-tested);
linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from promptward.errors import PolicyError
from promptward.injection.retold import around
from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
    max_length,
    parse,
)

Group = frozenset[str]
# How often a literal of so many characters may stand in a KB of prose, roughly: what a list of
# literals costs to look for, and what it saves, is judged by the sum.
_FREQUENT = (1000.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.05)
MARKED = 0.1  # times as often as that, if it holds a mark or symbol
_MARK = re.compile("[^a-z0-9 ]")
MOST_FREQUENT = 40.0  # a list that occurs more often tells nothing
SELDOM = 4  # a mark whose surroundings are less than one in so many characters is looked for first


def _frequency(group: Group) -> float:
    return sum(
        _FREQUENT[min(len(literal.strip()), len(_FREQUENT) - 1)]
        * (MARKED if _MARK.search(literal) else 1)
        for literal in group
    )


def _telling(group: Group) -> tuple[float, int]:
    """Sorts lists: the seldom first, and of those as seldom the ones of longer literals."""
    return _frequency(group), -min(map(len, group))


def literal_groups(node: Node) -> list[Group]:
    """Lists of literals, of each of which every match of `node` holds at least one."""
    match node:
        case Chars():
            letter = _letter(node)
            return [frozenset({letter})] if letter else []
        case Boundary():
            return []
        case Repeat(item, least, _, _):
            return literal_groups(item) if least else []
        case Alternation(options):
            each = [literal_groups(option) for option in options]
            if not all(each):
                return []
            return [frozenset().union(*(min(groups, key=_telling) for groups in each))]
        case Concat(items):
            return _groups_of_sequence(items)


def _letter(node: Node) -> str:
    """The character that `node` stands for; empty if it stands for several or none."""
    if isinstance(node, Chars) and len(node.ranges) == 1 and len(set(node.ranges[0])) == 1:
        return chr(node.ranges[0][0])
    return ""


def _groups_of_sequence(items: tuple[Node, ...]) -> list[Group]:
    groups: list[Group] = []
    run = ""
    for item in items:
        if letter := _letter(item):
            run += letter
        elif not isinstance(item, Boundary):
            groups += [frozenset({run})] if run else []
            groups += literal_groups(item)
            run = ""
    return groups + ([frozenset({run})] if run else [])


class Anchored:
    """A pattern that is searched where its literals stand.

    Args:
        pattern: RE2 syntax with bounded repeats, `^` and `$` only as `(?:^|...)` and `(?:...|$)`.

    Attributes:
        pattern: compiled.
        anchors: the literals it is searched by; none if it has to be tried everywhere.
        reach: characters of the longest match.
    """

    __slots__ = ("_mark", "_others", "anchors", "pattern", "reach")

    def __init__(self, pattern: str) -> None:
        self.pattern = re.compile(pattern)
        self.anchors: Group = frozenset()
        self._others: tuple[Group, ...] = ()
        self._mark = ""  # a mark or symbol that every match holds
        self.reach = 0
        try:
            # Without its ends of the text a pattern has all its literals still.
            node = parse(pattern.replace("(?:^|", "(?:|").replace("|$)", "|)"))
        except PolicyError:
            return
        groups = sorted(literal_groups(node), key=lambda g: (_frequency(g), sorted(g)))
        groups = [group for group in groups if _frequency(group) <= MOST_FREQUENT]
        if groups:
            self.anchors, *others = groups
            self._others = tuple(others)
            self.reach = max_length(node)
            # one that holds another tells no more
            self.anchors = frozenset(
                one for one in self.anchors if not any(o in one for o in self.anchors - {one})
            )
            alone = [literal for group in groups if len(group) == 1 for literal in group]
            self._mark = next((c for c in alone if len(c) == 1 and _MARK.match(c)), "")

    def search(
        self, text: str, changed: list[tuple[int, int]] | None = None
    ) -> re.Match[str] | None:
        """The first match in `text`.

        Args:
            text: the text.
            changed: ranges of it; any match is known to touch one of them or to end or begin there.
        """
        if not self.anchors:
            return self.pattern.search(text)
        parts = [(0, len(text))]
        if changed is not None:
            parts = around(changed, self.reach + 1, len(text))
        anchors, others = self.anchors, self._others
        if self._mark:
            places = text.count(self._mark)
            if places * self.reach * SELDOM < len(text):
                anchors, others = frozenset({self._mark}), (*self._others, self.anchors)
        for start, end in self._regions(text, anchors, parts):
            region = text[start:end]
            if all(any(map(region.__contains__, group)) for group in others):
                found = self.pattern.search(text, start, end)
                if found:
                    # The region may end amid what the match would have taken further.
                    return self.pattern.match(text, found.start()) or self.pattern.search(text)
        return None

    def _regions(
        self, text: str, literals: Group, parts: list[tuple[int, int]]
    ) -> Iterator[tuple[int, int]]:
        """What lies around `literals` in parts of a text, from the left, none touching another."""
        reach = self.reach
        places: list[int] = []
        if parts == [(0, len(text))]:  # most literals do not occur at all: that is found quicker
            literals = frozenset(filter(text.__contains__, literals))
        for low, high in parts:
            for literal in literals:
                at = text.find(literal, low, high)
                while at >= 0:
                    places.append(at)
                    at = text.find(literal, at + reach, high)  # the first's region reaches further
        places.sort()
        begun = ended = 0
        for at in places:
            if at - reach > ended:
                if ended:
                    yield begun, ended
                begun = at - reach
            ended = min(at + 2 * reach, len(text))
            begun = max(begun, 0)
        if ended:
            yield begun, ended
