"""How long a backtracking engine can take over a pattern at one place of a text.

RE2 runs any pattern in linear time; Python's `re` backtracks: `[a-z]{1,300}[a-z0-9]{1,30}!` looks
at 300 times 30 characters from every place of a row of a's, and `(?:a{1,50}){1,50}b` takes forever.
`steps` bounds the characters looked at: what comes after a repeat is tried at each of its ends, and
goes on from each if it can begin with what was repeated. `ways` is an upper bound of the ways one
text can be matched; both are computed on the pattern's tree:

- every round of a repeat multiplies by the lengths it can have, unless it begins or ends with a
  character that occurs nowhere else in it (`(?:[a-z]{1,9}-){1,5}`: the hyphen says where);
- a repeat of variable length multiplies by its range when a later one, with no distinct character
  in between, can take over its characters;
- alternatives add up.

Source: Weideman et al., *Analyzing Matching Time Behavior of Backtracking Regular Expression
Matchers by Using Ambiguity of NFA* (2016): bounded ambiguity means bounded backtracking.
"""

from __future__ import annotations

from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
    first_chars,
    max_length,
    merge,
    min_length,
)

# Characters looked at from one place of a text. Python's `re` took at most 3 ns for each (5 ns for
# a pattern of 201 steps), measured with 33 patterns of 29 to 90,000 steps on the texts that are
# worst for them: so 15 us for each character of a text.
MAX_STEPS = 5_000
_CAP = 10**12
Ranges = tuple[tuple[int, int], ...]


def problem(node: Node) -> str:
    """What makes the pattern slow, in a sentence; empty when nothing does."""
    found = steps(node)
    if found <= MAX_STEPS:
        return ""
    return (
        f"one place of a text can take {f'{found:,}' if found < _CAP else 'very many'} steps (at "
        f"most {MAX_STEPS:,}): let each repeat begin or end with a character that what it repeats, "
        "or what comes after it, cannot contain, or lower the bounds"
    )


def _variable(node: Node) -> bool:
    return max_length(node) != min_length(node)


def _delimited(node: Node) -> bool:
    """Whether a text alone says where one round of `node` ends."""
    if isinstance(node, Alternation):
        known = all(not _variable(option) or _delimited(option) for option in node.options)
        return known and not _overlap(node.options)
    items = node.items if isinstance(node, Concat) else (node,)
    for edge, rest in ((items[0], items[1:]), (items[-1], items[:-1])):
        apart = rest and not _common(_characters((edge,)), _characters(rest))
        if apart and min_length(edge) and not _variable(edge):
            return True
    return False


def _characters(nodes: tuple[Node, ...]) -> Ranges:
    """All characters that occur in matches of the nodes."""
    found: list[tuple[int, int]] = []
    for node in nodes:
        match node:
            case Chars(ranges):
                found.extend(ranges)
            case Concat(items) | Alternation(items):
                found.extend(_characters(items))
            case Repeat(item, _, _, _):
                found.extend(_characters((item,)))
            case Boundary():
                pass
    return merge(found)


def _common(a: Ranges, b: Ranges) -> bool:
    return any(
        low <= other_high and other_low <= high for low, high in a for other_low, other_high in b
    )


def steps(node: Node) -> int:
    """An upper bound of the characters looked at from one place of a text, capped."""
    match node:
        case Chars() | Boundary():
            return 1
        case Alternation(options):
            return min(sum(map(steps, options)), _CAP)
        case Repeat(Chars(), _, most, _):
            return most
        case Repeat(item, _, most, _):
            once, every_round = steps(item), _round_ways(node)
            total = 0
            for _ in range(most):
                if total >= _CAP:
                    break
                total = once + every_round * total
            return min(total, _CAP)
        case Concat(items):
            total, reached = 0, 1
            for place, item in enumerate(items):
                total += reached * steps(item)
                reached *= ways(item)
                ends = _ends(item)
                if _goes_on(item, items[place + 1 :]):
                    reached *= ends
                elif ends > 1 and place + 1 < len(items):
                    total += reached * ends  # what comes after is tried, and fails at once
                reached = min(reached, _CAP)
            return min(total, _CAP)


def _ends(node: Node) -> int:
    """At how many places a match can end."""
    if isinstance(node, Repeat) and _delimited(node.item):
        return node.most - node.least + 1
    return max_length(node) - min_length(node) + 1


def _goes_on(item: Node, after: tuple[Node, ...]) -> bool:
    """Whether what comes after can begin with a character of `item`."""
    mine = _characters((item,))
    for node in after:
        if _common(mine, first_chars(node)):
            return True
        if min_length(node) > 0:
            return False
    return False


def _round_ways(node: Repeat) -> int:
    """In how many ways one round of a repeat can match, at all places where it can end."""
    item = node.item
    spread = 1 if _delimited(item) else max_length(item) - min_length(item) + 1
    return ways(item) * (spread if node.most > 1 else 1)


def ways(node: Node) -> int:
    """An upper bound of the ways to match one text, capped."""
    match node:
        case Chars() | Boundary():
            return 1
        case Alternation(options):
            counts = [ways(option) for option in options]
            return min(sum(counts) if _overlap(options) else max(counts), _CAP)
        case Repeat(_, _, most, _):
            return int(min(_round_ways(node) ** min(most, 20), _CAP))
        case Concat(items):
            total = 1
            for place, item in enumerate(items):
                total *= ways(item)
                if isinstance(item, Repeat) and _trades(item, items[place + 1 :]):
                    total *= max_length(item) - min_length(item) + 1
            return min(total, _CAP)


def _overlap(options: tuple[Node, ...]) -> bool:
    """Whether two alternatives can begin with the same character."""
    firsts = [first_chars(option) for option in options]
    return any(_common(a, b) for place, a in enumerate(firsts) for b in firsts[:place])


def _trades(item: Repeat, after: tuple[Node, ...]) -> bool:
    """Whether something of variable length can take over its characters."""
    if not _variable(item):
        return False
    mine = _characters((item,))
    for node in after:
        common = _common(mine, first_chars(node))
        if common and _variable(node):
            return True
        if not common and min_length(node) > 0:
            return False
    return False
