"""Scoring one view of a text: rules and model over its windows, patterns over the whole.

Invariants: linear in the words; the score of a view is that of its worst window, so padding with
harmless text does not dilute an attack.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from promptward.exchange import Source
from promptward.injection.features import windows
from promptward.injection.lexicon import GATE_MARK, Masks, lexicon, masks_of
from promptward.injection.model import Model
from promptward.injection.rules import CONCEPT_RULES, Matcher, Rule
from promptward.injection.views import View, places

# Marks of tables, lists of options and code. Words that meet across them (a flag's help text, the
# cells of a row) do not speak to each other, so a rule that fires there is worth less.
STRUCTURE = "|{}[]`=;"
STRUCTURED_FROM = 3  # marks within a rule's window from which it counts as structure
STRUCTURED_WORTH = 0.35  # chosen on the documentation and code of the development data


@dataclass(frozen=True, slots=True)
class Fired:
    """A concept rule that fired.

    Attributes:
        rule: the rule.
        start, end: its surroundings in the view's text.
        worth: 1, or less where the surroundings are a table or code.
    """

    rule: Rule
    start: int
    end: int
    worth: float


@dataclass(frozen=True, slots=True)
class WindowReading:
    """What one window says: the classifier's log-odds (0 without it) and the rules that fired."""

    classifier: float
    fired: tuple[Fired, ...]

    def without(self, rules: frozenset[str]) -> WindowReading:
        """The same without the rules with these ids."""
        kept = tuple(item for item in self.fired if item.rule.id not in rules)
        return WindowReading(self.classifier, kept)


@cache
def _by_anchor() -> dict[str, tuple[Rule, ...]]:
    out: dict[str, list[Rule]] = {}
    for rule in CONCEPT_RULES:
        out.setdefault(rule.anchor, []).append(rule)
    return {anchor: tuple(rules) for anchor, rules in out.items()}


@dataclass(frozen=True, slots=True)
class Window:
    """Words `start:` of a view, and the concepts among them."""

    start: int
    words: Sequence[str]
    masks: Masks


def read_marks(
    words: Sequence[str], distinct: frozenset[str]
) -> tuple[list[tuple[int, str]], frozenset[str]]:
    """(concepts of a view with their places, gate marks of pattern rules) of its words."""
    marks = lexicon().marks(words, distinct)
    gates = frozenset(concept for _, concept in marks if concept[0] == GATE_MARK)
    return ([m for m in marks if m[1][0] != GATE_MARK] if gates else marks), gates


def windows_of(words: Sequence[str], marks: Sequence[tuple[int, str]]) -> Iterator[Window]:
    """The windows of a view with the given concepts."""
    for start, window in windows(words):
        if len(window) < len(words):
            low = bisect_left(marks, (start, ""))
            high = bisect_left(marks, (start + len(window), ""))
            yield Window(start, window, masks_of(marks[low:high], start, len(window)))
        else:
            yield Window(start, window, masks_of(marks, 0, len(words)))


def fired_rules(masks: Masks, source: Source) -> list[tuple[Rule, int]]:
    """The rules that fire in a window, each with the index of its first anchor word."""
    out: list[tuple[Rule, int]] = []
    present = masks.keys()
    matcher = Matcher(masks)
    by_anchor = _by_anchor()
    for concept in masks:
        for rule in by_anchor.get(concept, ()):
            if rule.needs <= present and (not rule.sources or source in rule.sources):
                places = matcher.anchors(rule)
                if places:
                    out.append((rule, (places & -places).bit_length() - 1))
    return out


class Places:
    """Where the words of a view stand; found when first asked, once.

    Args:
        view: the view.
    """

    __slots__ = ("_places", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self._places: list[tuple[int, int]] = []

    def around(self, at: int, window: int) -> tuple[int, int]:
        """The range of the view's text from `window` words before word `at` to as many after."""
        if not self._places:
            self._places = places(self.view, len(self.view.read))
        last = min(at + window, len(self._places) - 1)
        return self._places[max(0, at - window)][0], self._places[last][1]


def place_rules(where: Places, found: Sequence[tuple[Rule, int]]) -> tuple[Fired, ...]:
    """The rules that fired at words of a view, with their surroundings judged."""
    out = []
    for rule, at in found:
        start, end = where.around(at, rule.window)
        surroundings = where.view.text[start:end]
        marks = sum(map(surroundings.count, STRUCTURE)) + surroundings.count("\n\n")
        worth = STRUCTURED_WORTH if marks >= STRUCTURED_FROM else 1.0
        out.append(Fired(rule, start, end, worth))
    return tuple(out)


def read_view(
    view: View,
    marks: Sequence[tuple[int, str]],
    source: Source,
    weights: Model | None,
    *,
    asked: bool = False,
) -> list[WindowReading]:
    """Every window of a view.

    Args:
        view: the view.
        marks: its concepts with their places.
        source: where the text came from.
        weights: the model; None lets only the rules speak.
        asked: whether a pattern rule matched the view, so that the model is asked in any case.
    """
    where = Places(view)
    out = []
    for window in windows_of(view.words, marks):
        found = fired_rules(window.masks, source)
        fired = place_rules(where, [(rule, window.start + at) for rule, at in found])
        classifier = 0.0
        if weights:
            classifier = weights.log_odds(window.words, window.masks, asked=asked or bool(fired))
        out.append(WindowReading(classifier, fired))
    return out
