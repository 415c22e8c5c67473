"""Fit the weights of `promptward.tokens` and report their error (development only).

    npm install gpt-tokenizer
    node shared/training/count_tokens.mjs < corpus.jsonl > counted.jsonl
    python shared/training/calibrate_tokens.py counted.jsonl

`corpus.jsonl` holds one `{"class": ..., "text": ...}` a line. A quarter of the texts (by hash) is
held out and only reported on. Needs numpy and scipy.

The fit is non-negative least squares on relative errors, reweighted towards the mean absolute error
(iteratively reweighted least squares), each class weighing alike.
"""

# ruff: noqa: T201 (a report is what this prints)
from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from promptward.tokens import SHAPE, text_shape

HELD_OUT_ONE_IN = 4
ROUNDS = 25
ERROR_FLOOR = 0.03
"""Errors under 3 % count alike: keeps the reweighting finite."""
MINOR_CLASSES = ("latin", "other")
"""Outside the seven classes the project promises; weigh half."""

Floats = NDArray[np.float64]


def main(path: str) -> None:
    """Fit on `path`, print the table of errors and the weights."""
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    shapes = np.zeros((len(rows), len(SHAPE)))
    for row, counts in zip(rows, shapes, strict=True):
        shape = text_shape(row["text"])
        counts[: len(shape)] = shape
    held_out = np.array([_held_out(row["text"]) for row in rows])
    classes = np.array([row["class"] for row in rows])
    for vocabulary in ("o200k", "cl100k"):
        tokens = np.array([row[vocabulary] for row in rows], float)
        weights = fit(shapes[~held_out], tokens[~held_out], classes[~held_out])
        thousandths = np.rint(weights * 1000).astype(int)
        print(f"\n{vocabulary}: {tuple(int(w) for w in thousandths)}")
        estimates = np.ceil(shapes[held_out] @ thousandths / 1000)
        report(estimates, tokens[held_out], classes[held_out])


def fit(shapes: Floats, tokens: Floats, classes: NDArray[np.str_]) -> Floats:
    """Weights that minimise the mean relative error, each class weighing alike."""
    share = {
        name: (0.5 if name in MINOR_CLASSES else 1.0) / np.sqrt((classes == name).sum())
        for name in set(classes)
    }
    base = np.array([share[name] for name in classes]) / tokens
    errors = np.ones(len(tokens))
    weights: Floats = np.zeros(shapes.shape[1])
    for _ in range(ROUNDS):
        scale = base / np.sqrt(np.maximum(errors, ERROR_FLOOR))
        weights, _ = nnls(shapes * scale[:, None], tokens * scale, maxiter=20_000)
        errors = np.abs(shapes @ weights / tokens - 1)
    return weights


def report(estimates: Floats, tokens: Floats, classes: NDArray[np.str_]) -> None:
    """Print one Markdown row per class and the mean over the seven promised classes."""
    relative = estimates / tokens - 1
    print("| class | texts | mean error | under-estimated | by more than 10 % | total |")
    print("|---|---|---|---|---|---|")
    means = []
    for name in dict.fromkeys(classes):
        errors = relative[classes == name]
        total = estimates[classes == name].sum() / tokens[classes == name].sum() - 1
        mean = np.abs(errors).mean()
        if name not in MINOR_CLASSES:
            means.append(mean)
        print(
            f"| {name} | {len(errors)} | {mean:.1%} | {(errors < 0).mean():.0%}"
            f" | {(errors < -0.1).mean():.0%} | {total:+.1%} |"
        )
    print(f"| **mean of the {len(means)}** | {len(relative)} | {np.mean(means):.1%} | | | |")


def _held_out(text: str) -> bool:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[0] % HELD_OUT_ONE_IN == 0


if __name__ == "__main__":
    main(sys.argv[1])
