"""Scoring one view of a text: rules and model over its windows, patterns over the whole.

Invariants: linear in the words; the score of a view is that of its worst window, so padding with
harmless text does not dilute an attack.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, repeat
from operator import itemgetter
from typing import NamedTuple

from promptward.exchange import Source
from promptward.injection.features import ASK_FROM, SILENT, TELLING, WINDOW_STRIDE, windows
from promptward.injection.lanes import Block, blocks_of, firsts_in, lanes_in
from promptward.injection.lexicon import Masks, masks_of
from promptward.injection.marks import Marks
from promptward.injection.model import Model
from promptward.injection.rules import CONCEPT_RULES, Matcher, Rule
from promptward.injection.views import View, WordEnds

# Marks of tables, lists of options and code. Words that meet across them (a flag's help text, the
# cells of a row) do not speak to each other, so a rule that fires there is worth less.
STRUCTURE = (*"|{}[]`=;", "\n\n")
STRUCTURED_FROM = 3  # marks within a rule's window from which it counts as structure
STRUCTURED_WORTH = 0.35  # chosen on the documentation and code of the development data


class WindowReading(NamedTuple):
    """What one window says.

    Attributes:
        log_odds: what the classifier says; `SILENT` without it.
        fired: the rules that fired, each with the index in the view of its first anchor word.
    """

    log_odds: float
    fired: Sequence[tuple[Rule, int]]

    def without(self, rules: frozenset[str]) -> WindowReading:
        """The same without the rules with these ids."""
        kept = [(rule, at) for rule, at in self.fired if rule.id not in rules]
        return WindowReading(self.log_odds, kept)


@cache
def _by_anchor(source: Source) -> dict[str, tuple[Rule, ...]]:
    out: dict[str, list[Rule]] = {}
    for rule in CONCEPT_RULES:
        if not rule.sources or source in rule.sources:
            out.setdefault(rule.anchor, []).append(rule)
    return {anchor: tuple(rules) for anchor, rules in out.items()}


class Window(NamedTuple):
    """Words `start:` of a view, and the concepts among them."""

    start: int
    words: Sequence[str]
    masks: Masks


def windows_of(words: Sequence[str], marks: Sequence[tuple[int, str]]) -> Iterator[Window]:
    """The windows of a view with the given concepts."""
    for start, window in windows(words):
        if len(window) < len(words):
            low = bisect_left(marks, (start, ""))
            high = bisect_left(marks, (start + len(window), ""))
            yield Window(start, window, masks_of(marks[low:high], start))
        else:
            yield Window(start, window, masks_of(marks, 0))


def rules_firing(masks: Masks, source: Source) -> list[tuple[Rule, int]]:
    """The rules that fire, each with the places of the anchor words at which it does."""
    present = frozenset(masks)
    matcher = Matcher(masks)
    by_anchor = _by_anchor(source)
    return [
        (rule, anchors)
        for concept in masks
        for rule in by_anchor.get(concept, ())
        if rule.needs <= present and (anchors := matcher.anchors(rule))
    ]


def fired_rules(masks: Masks, source: Source) -> list[tuple[Rule, int]]:
    """The rules that fire in one window, each with the index of its first anchor word."""
    firing = rules_firing(masks, source)
    return [(rule, (places & -places).bit_length() - 1) for rule, places in firing]


class Places:
    """Where the words of a view stand, and amid what; found when first asked, once.

    Args:
        view: the view.
    """

    __slots__ = ("_ends", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self._ends: WordEnds | None = None

    def around(self, at: int, window: int) -> tuple[int, int]:
        """The range of the text from `window` words before word `at` to as many after."""
        ends = self._ends
        if ends is None:
            ends = self._ends = WordEnds(self.view)
        first, last = max(0, at - window), min(at + window, len(ends) - 1)
        return ends.of(first) - len(self.view.read[first]), ends.of(last)

    def worth(self, at: int, window: int) -> float:
        """What a rule is worth that fired at word `at`: less in a table or code."""
        start, end = self.around(at, window)
        marks = sum(map(self.view.text.count, STRUCTURE, repeat(start), repeat(end)))
        return STRUCTURED_WORTH if marks >= STRUCTURED_FROM else 1.0


def worst_of(
    windows: Sequence[WindowReading], patterns: Sequence[float], where: Places, weights: Model
) -> float:
    """The log-odds of the worst window, rules counted.

    What a rule is worth where it fired is found out only in windows where that may decide.

    Args:
        windows: the windows of a view.
        patterns: weights of the pattern rules that count in all of them.
        where: the places of the view's words.
        weights: what rules are worth together.
    """
    if len(windows) == 1 and not (patterns or windows[0].fired):
        return windows[0].log_odds
    everywhere = [(weight, 1.0) for weight in patterns]
    worst = max(window.log_odds for window in windows) + weights.rule_evidence(everywhere)
    at_most: list[tuple[float, WindowReading]] = []
    for window in windows:
        if window.fired:
            fired = [(rule.weight, 1.0) for rule, _ in window.fired]
            evidence = weights.rule_evidence(everywhere + fired)
            at_most.append((window.log_odds + evidence, window))
    at_most.sort(key=itemgetter(0), reverse=True)
    for most, window in at_most:
        if most <= worst:
            break
        fired = [(rule.weight, where.worth(at, rule.window)) for rule, at in window.fired]
        worst = max(worst, window.log_odds + weights.rule_evidence(everywhere + fired))
    return worst


def quiet_window(marks: Marks, weights: Model | None) -> WindowReading:
    """What the windows of a view say that the model is not asked about, nor do rules fire there."""
    return WindowReading(marks.quiet if weights else SILENT, ())


def read_view(
    view: View,
    marks: Marks,
    source: Source,
    weights: Model | None,
    *,
    asked: bool = False,
) -> list[WindowReading]:
    """What the windows of a view say: those that say something, in order, and one that is quiet.

    Args:
        view: the view.
        marks: its concepts.
        source: where the text came from.
        weights: the model; None lets only the rules speak.
        asked: whether a pattern rule matched the view, so that the model is asked in any case.
    """
    out: list[WindowReading] = []
    quiet = quiet_window(marks, weights)
    if not (marks.matter or asked):
        return [quiet]
    passed_over = False
    for block in blocks_of(len(view.words), marks.masks):
        found = _found_in(block, source)
        lanes = sorted(range(block.lanes) if asked else found.keys() | _telling(block.masks))
        passed_over = passed_over or len(lanes) < block.lanes
        values = [SILENT] * len(lanes)
        if weights:
            values = weights.log_odds_in(view.words, view.meant, block, lanes)
        for lane, value in zip(lanes, values, strict=True):
            out.append(WindowReading(value, found.get(lane, ())))
    if passed_over:
        out.append(quiet)
    return out


def _found_in(block: Block, source: Source) -> dict[int, list[tuple[Rule, int]]]:
    """Lane → the rules that fire in it, each with the index in the view of its first anchor."""
    found: dict[int, list[tuple[Rule, int]]] = {}
    for rule, anchors in rules_firing(block.masks, source):
        for lane, offset in firsts_in(anchors):
            at = (block.first + lane) * WINDOW_STRIDE + offset
            found.setdefault(lane, []).append((rule, at))
    return found


def _telling(masks: Masks) -> set[int]:
    """The lanes that tell enough to ask the model about them."""
    telling = TELLING & masks.keys()
    if len(telling) < ASK_FROM:
        return set()
    found = Counter(chain.from_iterable(lanes_in(masks[concept]) for concept in telling))
    return {lane for lane, count in found.items() if count >= ASK_FROM}
