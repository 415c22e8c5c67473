"""Choose the common English words of `promptward/injection/data/english.json`.

Words on this list are neither typos of keywords nor inflected forms of a lexicon stem, which saves
the detector from looking closer at most words of ordinary English text. Only benign English rows
are counted, so the list says nothing about attacks.

    python shared/training/build_english.py DATA.jsonl.gz shared/src/promptward/injection/data/english.json
"""  # noqa: E501

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from corpus import read_rows

from promptward.injection.folding import fold, load_data
from promptward.injection.tokens import spaced

MIN_ROWS = 6


def main(data: str, out: str) -> None:
    """Count words in `data`, write the common ones to `out`."""
    rows: Counter[str] = Counter()
    for row in read_rows(Path(data)):
        if not row.label and row.language == "en":
            rows.update(set(spaced(fold(row.text)).split()))
    entries = cast(Mapping[str, Mapping[str, str]], load_data("lexicon"))
    english = {e for languages in entries.values() for e in languages.get("en", "").split("|")}
    common = sorted(
        word
        for word, count in rows.items()
        if count >= MIN_ROWS and word.isascii() and word.isalpha() and word not in english
    )
    text = json.dumps({"common": " ".join(common)}, separators=(",", ":"))
    Path(out).write_text(text + "\n", encoding="ascii")
    print(len(common), len(text))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:3])
