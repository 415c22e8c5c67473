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
from pathlib import Path

from corpus import read_rows

from promptward.injection.folding import fold
from promptward.injection.lexicon import lexicon
from promptward.injection.tokens import spaced

MIN_ROWS = 6


def main(data: str, out: str) -> None:
    """Count words in `data`, write the common ones to `out`."""
    rows: Counter[str] = Counter()
    for row in read_rows(Path(data)):
        if not row.label and row.language == "en":
            rows.update(set(spaced(fold(row.text)).split()))
    terms = lexicon()
    common = sorted(
        word
        for word, count in rows.items()
        if count >= MIN_ROWS and word.isascii() and word.isalpha() and not terms.of_word(word)
    )
    text = json.dumps({"common": " ".join(common)}, separators=(",", ":"))
    Path(out).write_text(text + "\n", encoding="ascii")
    print(len(common), len(text))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:3])
