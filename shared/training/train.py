"""Train the injection model and write its weights.

    python shared/training/train.py DATA.jsonl.gz shared/src/promptward/injection/data/model.json

Needs numpy, scipy and scikit-learn; inference needs none of them. The calibration knots come from
benign rows scored by models that did not see their fold, so 0.5 and 0.8 mean the shares of `KNOTS`
on datasets the model has not seen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from corpus import benign_fold, pool_limit, pool_weights, read_rows, row_weights
from fitting import (
    BLOCK_SHARE,
    FLAG_SHARE,
    RULE_CAP,
    RULE_SCALE,
    Table,
    build_table,
    choose_vocabulary,
    fit,
    read_windows,
    score_rows,
)

from promptward.injection.features import SILENT

# (share of the unseen benign pool above, score). The target at 0.5 is 1 % of false alarms; some of
# that is kept in reserve, because the next dataset is never like the last.
KNOTS = ((0.1, 0.2), (FLAG_SHARE, 0.5), (BLOCK_SHARE, 0.8))
MARGIN = 4.0
SMALLEST_WEIGHT = 0.01


def unseen_benign(
    table: Table, labels: np.ndarray, weights: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """Log-odds of benign rows from models trained without their fold."""
    out = np.full(len(labels), np.nan)
    for held in ((labels == 0) & fold, (labels == 0) & ~fold):
        scores = score_rows(table, fit(table, labels, weights, ~held))
        out[held] = scores[held]
    return out


def calibration(benign: np.ndarray, counts: np.ndarray) -> list[list[float]]:
    """Knots (log-odds, score) at the quantiles of `KNOTS` of benign rows that count `counts`."""
    knots = [[pool_limit(benign, counts, share), score] for share, score in KNOTS]
    low = [SILENT if knots[0][0] > SILENT else knots[0][0] - MARGIN, 0.0]
    high = [knots[-1][0] + MARGIN, 0.99]
    return [[round(x, 4), y] for x, y in (low, *knots, high, [high[0] + 2 * MARGIN, 1.0])]


def main(data: str, out: str) -> None:
    """Train on `data`, write `out`."""
    rows = read_rows(Path(data))
    read, quiet = read_windows(rows)
    vocabulary = choose_vocabulary(rows, read)
    table = build_table(read, quiet, vocabulary)
    labels = np.array([row.label for row in rows])
    weights = row_weights(rows)
    coefficients = fit(table, labels, weights, np.ones(len(rows), bool))
    unseen = unseen_benign(table, labels, weights, benign_fold(rows))
    counts = pool_weights(rows)
    documents = np.array([row.channel == "doc" for row in rows])
    kept = {
        name: round(float(w), 3)
        for name, w in zip(table.names, coefficients, strict=False)
        if abs(w) >= SMALLEST_WEIGHT or name.startswith("w:")
    }
    document = {
        "bias": round(float(coefficients[-1]), 3),
        "rule_scale": RULE_SCALE,
        "rule_cap": RULE_CAP,
        "knots": {
            kind: calibration(unseen[chosen], counts[chosen])
            for kind, chosen in (
                ("user", ~documents & (counts > 0)),
                ("document", documents & (counts > 0)),
            )
        },
        "concepts": {n: w for n, w in kept.items() if n[0] != "w"},
        "words": {n[2:]: w for n, w in kept.items() if n[0] == "w"},
    }
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    Path(out).write_text(text + "\n", encoding="ascii")
    print(table.matrix.shape, len(kept), f"{len(text)} bytes", document["knots"])  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:3])
