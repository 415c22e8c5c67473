"""Measure the recognizers on labelled texts: precision, recall and F1 per entity.

    python shared/training/evaluate_pii.py [--errors] [--entities PII,SECRET] FILE.jsonl ...

A line is `{"text": …, "spans": [[start, end, TYPE], …], "locale": …}`; a type that begins with `~`
needs a named-entity model and is neither required nor held against us: a match that overlaps such
a span is ignored, and a match of a type that the file labels nowhere is counted apart. A match is
right when it and a labelled span of its type have at least half of both in common (`--exact`: the
same offsets).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from promptward.recognizers import GROUPS, Match, RecognizerSet, recognizers_for

# Our entity -> the data sets' type; entities that are not listed go by their own name.
TYPES = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "IP_ADDRESS": "IP",
    "IBAN_CODE": "IBAN",
    **dict.fromkeys(GROUPS["SECRET"], "SECRET"),
}
Span = tuple[int, int, str]


def overlaps(a: Span, b: Span, exact: bool) -> bool:
    """Whether the spans agree: the same, or half of both in common."""
    if exact:
        return a[:2] == b[:2]
    common = min(a[1], b[1]) - max(a[0], b[0])
    return common * 2 >= max(a[1] - a[0], b[1] - b[0])


def rows(path: Path) -> Iterator[tuple[str, list[Span]]]:
    """Texts and their labelled spans."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["text"], [(s, e, t) for s, e, t in row["spans"]]


def as_span(match: Match) -> Span:
    """A match under the data sets' name."""
    return match.start, match.end, TYPES.get(match.entity, match.entity)


class Tally:
    """Counts per type."""

    def __init__(self, labelled: frozenset[str], *, exact: bool, show: bool) -> None:
        self._labelled = labelled
        self.unlabelled: Counter[str] = Counter()
        self.right: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self._exact = exact
        self._show = show

    def add(self, text: str, labels: Sequence[Span], found: Sequence[Span]) -> None:
        """Compare one text."""
        required = [label for label in labels if not label[2].startswith("~")]
        optional = [label for label in labels if label[2].startswith("~")]
        open_labels = list(required)
        for span in found:
            if span[2] not in self._labelled:
                self.unlabelled[span[2]] += 1
                continue
            same = [x for x in open_labels if x[2] == span[2] and overlaps(x, span, self._exact)]
            if same:
                open_labels.remove(same[0])
                self.right[span[2]] += 1
            elif not any(x[0] < span[1] and span[0] < x[1] for x in optional):
                self.wrong[span[2]] += 1
                self.report("false", text, span)
        for label in open_labels:
            self.missed[label[2]] += 1
            self.report("missed", text, label)

    def report(self, what: str, text: str, span: Span) -> None:
        """Print one error with its surroundings, when asked to."""
        if self._show:
            near = text[max(0, span[0] - 40) : span[1] + 25]
            sys.stdout.write(f"  {what} {span[2]}: {text[span[0] : span[1]]!r} in {near!r}\n")

    def table(self) -> str:
        """One line per type and one for all."""
        kinds = sorted(set(self.right) | set(self.wrong) | set(self.missed))
        lines = [f"{'type':24}{'right':>7}{'false':>7}{'missed':>7}{'P':>8}{'R':>8}{'F1':>8}"]
        for kind in kinds:
            counts = self.right[kind], self.wrong[kind], self.missed[kind]
            lines.append(self._line(kind, *counts))
        totals = (sum(c.values()) for c in (self.right, self.wrong, self.missed))
        lines.append(self._line("all (micro)", *totals))
        if self.unlabelled:
            others = ", ".join(f"{kind} {count}" for kind, count in self.unlabelled.most_common())
            lines.append(f"found, of types this file does not label: {others}")
        return "\n".join(lines)

    @staticmethod
    def _line(kind: str, right: int, wrong: int, missed: int) -> str:
        precision = right / (right + wrong) if right + wrong else 0.0
        recall = right / (right + missed) if right + missed else 0.0
        f1 = 2 * right / (2 * right + wrong + missed) if right else 0.0
        return f"{kind:24}{right:7}{wrong:7}{missed:7}{precision:8.3f}{recall:8.3f}{f1:8.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--entities", default="PII,SECRET", help="entities or groups")
    parser.add_argument("--errors", action="store_true", help="print every disagreement")
    parser.add_argument("--exact", action="store_true", help="offsets must be the same")
    options = parser.parse_args()
    recognizers = RecognizerSet(recognizers_for(options.entities.split(",")))
    for path in options.files:
        texts = list(rows(path))
        labelled = frozenset(kind for _, labels in texts for _, _, kind in labels)
        tally = Tally(labelled, exact=options.exact, show=options.errors)
        for text, labels in texts:
            tally.add(text, labels, [as_span(match) for match in recognizers.find(text)])
        sys.stdout.write(f"{path.name}\n{tally.table()}\n")


if __name__ == "__main__":
    main()
