"""Features of rows as a sparse matrix, and the logistic regression over them.

The features are those of `promptward.injection` itself, so training cannot drift from inference.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from corpus import Row
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from promptward.exchange import Source
from promptward.injection.features import SILENT, concept_features, length_feature, telling
from promptward.injection.marks import Marks
from promptward.injection.model import FOREIGN, is_english
from promptward.injection.patterns import matches
from promptward.injection.scoring import Places, fired_rules, windows_of
from promptward.injection.views import View, expand

# Log-odds per unit of rule evidence, and how much evidence counts: chosen on leave-one-dataset-out.
# The cap is low because rules of one family overlap.
RULE_SCALE = 3.0
RULE_CAP = 2.0
MIN_COUNT, MIN_GROUPS = 10, 4  # a word is a feature when this often and in so many datasets
MIN_FEATURE = 4
# Shares of the benign pool that may reach the default flag and block thresholds.
FLAG_SHARE, BLOCK_SHARE = 0.006, 0.002
REGULARISATION = 0.04  # sklearn's C, chosen on leave-one-dataset-out
PASSES = 2  # fits; from the second on, an attack's weight lies on the windows that look like one
FOREIGN_SHARE = 0.35  # weight of the copies of English rows without their words


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one view of one row."""

    row: int
    names: tuple[str, ...]
    words: frozenset[str]
    rules: float


@dataclass(frozen=True, slots=True)
class Table:
    """Windows as a matrix, with each one's row and rule evidence; `quiet` is by row."""

    names: list[str]
    matrix: sparse.csr_matrix
    owner: np.ndarray
    rules: np.ndarray
    copies: np.ndarray  # windows that are a copy without words
    quiet: np.ndarray  # log-odds of what the model is not asked about


def source_of(row: Row) -> Source:
    """The source a row is judged as."""
    return Source.DOCUMENT if row.channel == "doc" else Source.USER


def read_windows(rows: list[Row]) -> tuple[list[Window], np.ndarray]:
    """Every window of every view of every row that the model is asked about; see `Table.quiet`."""
    out: list[Window] = []
    quiet = np.full(len(rows), SILENT)
    for index, row in enumerate(rows):
        for view in expand(row.text):
            marks = Marks(view.words, view.meant)
            quiet[index] = max(quiet[index], marks.quiet)
            out.extend(_windows_of(index, view, marks, source_of(row)))
    return out, quiet


def _windows_of(index: int, view: View, marks: Marks, source: Source) -> list[Window]:
    out: list[Window] = []
    found = matches(view.text, view.distinct, marks.gates, source)
    if not (marks.matter or found):
        return out
    patterns = [(rule.weight, 1.0) for rule, _, _ in found]
    where = Places(view)
    for window in windows_of(view.words, marks.places):
        names = (*concept_features(window.masks), length_feature(len(window.words)))
        fired = [(rule, window.start + at) for rule, at in fired_rules(window.masks, source)]
        if not (telling(window.masks) or fired or patterns):
            continue
        placed = [(rule.weight, where.worth(at, rule.window)) for rule, at in fired]
        evidence = np.array([-np.log(1 - weight) * worth for weight, worth in patterns + placed])
        out.append(Window(index, names, frozenset(window.words), float(evidence.sum())))
    return out


def choose_vocabulary(rows: list[Row], read: list[Window]) -> frozenset[str]:
    """English words that occur often and in several datasets, so none is one author's habit."""
    count: Counter[str] = Counter()
    groups: dict[str, set[str]] = defaultdict(set)
    for window in read:
        row = rows[window.row]
        if row.language.startswith("en"):
            for word in window.words:
                count[word] += 1
                groups[word].add(row.group)
    return frozenset(
        w for w, n in count.items()
        if n >= MIN_COUNT and len(groups[w]) >= MIN_GROUPS and w.isascii() and w.isalpha()
    )  # fmt: skip


def build_table(read: list[Window], quiet: np.ndarray, vocabulary: frozenset[str]) -> Table:
    """The matrix of `read`, with a copy without words of every English window."""
    lines: list[list[str]] = []
    owner, rules, copies = [], [], []
    for window in read:
        known = window.words & vocabulary
        english = is_english(len(known), len(window.words))
        foreign = [*window.names, FOREIGN]
        for line, copy in (
            ([*window.names, *(f"w:{w}" for w in known)], False) if english else (foreign, False),
            (foreign, True),
        ):
            if copy and not english:
                continue
            lines.append(line)
            owner.append(window.row)
            rules.append(window.rules)
            copies.append(copy)
    return Table(*_matrix(lines), np.array(owner), np.array(rules), np.array(copies), quiet)


def _matrix(lines: list[list[str]]) -> tuple[list[str], sparse.csr_matrix]:
    seen = Counter(name for line in lines for name in line)
    names = sorted(name for name, n in seen.items() if n >= MIN_FEATURE)
    index = {name: i for i, name in enumerate(names)}
    columns = [index[name] for line in lines for name in sorted(line) if name in index]
    ends = np.cumsum([0, *(sum(name in index for name in line) for line in lines)])
    data = np.ones(len(columns), np.float32)
    return names, sparse.csr_matrix((data, columns, ends), shape=(len(lines), len(names)))


def fit(table: Table, labels: np.ndarray, weights: np.ndarray, use: np.ndarray) -> np.ndarray:
    """Coefficients (intercept last) of the regression on the rows where `use` is true.

    Most windows of a long attack are harmless filling, so after the first pass the weight of an
    attack is shared out by how suspicious each of its windows is.
    """
    count = len(labels)
    real = ~table.copies
    per_row = np.maximum(1, np.bincount(table.owner[real], minlength=count))
    label = labels[table.owner]
    benign = (weights / np.sqrt(per_row))[table.owner]
    share = np.where(label == 1, (weights / per_row)[table.owner], benign)
    chosen = use[table.owner]
    learner = LogisticRegression(C=REGULARISATION, solver="liblinear", max_iter=300)
    coefficients = np.zeros(0)
    for turn in range(PASSES):
        if turn:
            own = _log_odds(table, coefficients)
            likely = np.exp(own - _best(table, own)[table.owner])
            likely = np.minimum(1.0, likely)
            total = np.bincount(table.owner[real], likely[real], minlength=count)
            attack = weights[table.owner] * likely / np.maximum(total, 1e-9)[table.owner]
            share = np.where(label == 1, attack, benign)
        counted = share * np.where(table.copies, FOREIGN_SHARE, 1.0)
        learner.fit(table.matrix[chosen], label[chosen], sample_weight=counted[chosen])
        coefficients = np.append(learner.coef_[0], learner.intercept_[0])
    return coefficients


def _log_odds(table: Table, coefficients: np.ndarray) -> np.ndarray:
    """Log-odds of every window, rule evidence included."""
    own = table.matrix @ coefficients[:-1] + coefficients[-1]
    return np.asarray(own + RULE_SCALE * np.minimum(table.rules, RULE_CAP))


def _best(table: Table, own: np.ndarray) -> np.ndarray:
    """The highest of each row's windows; copies do not count."""
    best = table.quiet.copy()
    real = ~table.copies
    np.maximum.at(best, table.owner[real], own[real])
    return best


def score_rows(table: Table, coefficients: np.ndarray) -> np.ndarray:
    """Log-odds of every row: its best window's, rule evidence included."""
    return _best(table, _log_odds(table, coefficients))


def score_texts(
    texts: list[tuple[str, Row]],
    vocabulary: frozenset[str],
    names: list[str],
    coefficients: np.ndarray,
) -> np.ndarray:
    """Log-odds of texts that are not part of the corpus, each judged as its row's source."""
    weight = dict(zip(names, coefficients, strict=False))
    out = np.full(len(texts), SILENT)
    for index, (text, row) in enumerate(texts):
        for view in expand(text):
            marks = Marks(view.words, view.meant)
            out[index] = max(out[index], marks.quiet)
            for window in _windows_of(index, view, marks, source_of(row)):
                known = window.words & vocabulary
                english = is_english(len(known), len(window.words))
                extra = [f"w:{w}" for w in known] if english else [FOREIGN]
                total = sum(weight.get(name, 0.0) for name in (*window.names, *extra))
                total += coefficients[-1] + RULE_SCALE * min(window.rules, RULE_CAP)
                out[index] = max(out[index], total)
    return out
