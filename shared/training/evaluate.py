"""Reproduce the tables of docs/detection-injection.md.

    python shared/training/evaluate.py DATA.jsonl.gz [REPORT.json]

Leave-one-dataset-out: for every attack dataset a model is trained without it and without one half
of the benign datasets, and measured on that dataset against the benign half it has not seen; both
halves are averaged. Recall is given where 1 % and 0.1 % of the unseen half of the benign pool pass
(one threshold on the calibrated score: the same share of requests and of documents), and at the
default flag and block thresholds. Encoded attacks are the dataset's own, disguised by
`disguises.py`. The project's own attacks are a dataset like others, but have lines of their own in
the table of languages and none in that of disguises, so that those can be compared over time.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from corpus import OWN_ATTACKS, Row, benign_fold, pool_limit, pool_weights, read_rows, row_weights
from disguises import DISGUISES
from fitting import (
    BLOCK_SHARE,
    FLAG_SHARE,
    Table,
    build_table,
    choose_vocabulary,
    fit,
    read_windows,
    score_rows,
    score_texts,
)
from sklearn.metrics import roc_auc_score

LEVELS = (0.01, 0.001, FLAG_SHARE, BLOCK_SHARE)
DISGUISED_ROWS = 60  # rows of each attack dataset that are disguised


def thresholds(scores: np.ndarray, counts: np.ndarray, documents: np.ndarray) -> list[np.ndarray]:
    """For every row the log-odds that `LEVELS` of the pool of its kind exceed."""
    out = [np.zeros(len(scores)) for _ in LEVELS]
    for kind in (documents, ~documents):
        chosen = kind & (counts > 0)
        for limits, level in zip(out, LEVELS, strict=True):
            limits[kind] = pool_limit(scores[chosen], counts[chosen], level)
    return out


class Evaluation:
    """Leave-one-dataset-out over one corpus.

    Args:
        rows: labelled rows.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        read, quiet = read_windows(rows)
        self.vocabulary = choose_vocabulary(rows, read)
        self.table: Table = build_table(read, quiet, self.vocabulary)
        self.labels = np.array([r.label for r in rows])
        self.groups = np.array([r.group for r in rows])
        self.datasets = np.array([r.dataset for r in rows])
        self.weights = row_weights(rows)
        self.fold = benign_fold(rows)
        self.documents = np.array([r.channel == "doc" for r in rows])
        self.counts = pool_weights(rows)
        self.false_alarms: dict[str, list[list[float]]] = defaultdict(list)
        self.disguised: dict[str, list[float]] = defaultdict(list)
        self.languages: dict[str, list[list[float]]] = defaultdict(list)

    def group(self, name: str) -> dict[str, float]:
        """Figures for one attack dataset."""
        target = (self.groups == name) & (self.labels == 1)
        figures = []
        for half in (self.fold, ~self.fold):
            held = (self.labels == 0) & half
            coefficients = fit(self.table, self.labels, self.weights, ~(held | target))
            scores = score_rows(self.table, coefficients)
            unseen = held & (self.counts > 0)
            limits = thresholds(scores, self.counts * held, self.documents)
            margins = scores - limits[0]
            both = np.r_[margins[target], margins[unseen]]
            truth = np.r_[np.ones(target.sum()), np.zeros(unseen.sum())]
            recalls = [float((scores > limit)[target].mean()) for limit in limits]
            figures.append([float(roc_auc_score(truth, both)), *recalls])
            self._note(scores, held, target, limits)
            if name != OWN_ATTACKS:
                self._disguise(np.flatnonzero(target), coefficients, limits[0])
        auc, one, tenth, flagged, blocked = np.mean(figures, axis=0)
        return {
            "rows": int(target.sum()),
            "auc": auc,
            "recall_1": one,
            "recall_01": tenth,
            "recall_flag": flagged,
            "recall_block": blocked,
        }

    def _note(
        self, scores: np.ndarray, held: np.ndarray, target: np.ndarray, limits: list[np.ndarray]
    ) -> None:
        reported = held & (self.datasets != "deepset")
        for dataset in sorted(set(self.datasets[reported])):
            chosen = reported & (self.datasets == dataset)
            self.false_alarms[dataset].append(
                [float((scores > limit)[chosen].mean()) for limit in limits]
            )
        languages = np.array([_language(r) for r in self.rows])
        for language in sorted(set(languages[target])):
            chosen = target & (languages == language)
            self.languages[language].append(
                [int(chosen.sum()), *[float((scores > x)[chosen].sum()) for x in limits]]
            )

    def _disguise(self, places: np.ndarray, coefficients: np.ndarray, limits: np.ndarray) -> None:
        picked = places[:: max(1, len(places) // DISGUISED_ROWS)]
        chosen = [self.rows[i] for i in picked]
        for name, disguise in DISGUISES.items():
            texts = [(disguise(row.text[:1500]), row) for row in chosen]
            scores = score_texts(texts, self.vocabulary, self.table.names, coefficients)
            self.disguised[name].extend((scores > limits[picked]).tolist())


def _language(row: Row) -> str:
    if row.dataset != OWN_ATTACKS:
        return row.language
    return f"hand-written, {'en' if row.language == 'en' else 'other'}"


def report(evaluation: Evaluation) -> dict[str, object]:
    """Every table, as plain numbers."""
    names = sorted({r.group for r in evaluation.rows if r.label})
    groups = {name: evaluation.group(name) for name in names}
    return {
        "attacks": groups,
        "false_alarms": {
            name: np.mean(found, axis=0).tolist()
            for name, found in sorted(evaluation.false_alarms.items())
        },
        "languages": {
            name: [
                float(np.sum(found, axis=0)[i] / np.sum(found, axis=0)[0])
                for i in range(1, 1 + len(LEVELS))
            ]
            for name, found in evaluation.languages.items()
        },
        "disguises": {name: float(np.mean(v)) for name, v in evaluation.disguised.items()},
    }


def main(data: str, out: str = "", *options: str) -> None:
    """Print the tables; write them to `out` when given; `--quick` leaves out the disguises."""
    if "--quick" in options:
        DISGUISES.clear()
    tables = report(Evaluation(read_rows(Path(data))))
    text = json.dumps(tables, indent=1, default=float, ensure_ascii=False, sort_keys=False)
    if out:
        Path(out).write_text(text + "\n", encoding="utf-8")
    print(text)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
