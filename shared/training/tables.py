"""Fill the tables of docs/detection-injection.md from a report of `evaluate.py`.

python shared/training/tables.py REPORT.json docs/detection-injection.md
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

SMALLEST_SHARE = 0.0005  # false-alarm rates below this are not listed


def attacks(report: dict[str, dict[str, dict[str, float]]]) -> str:
    """The leave-one-dataset-out table."""
    lines = ["| attack dataset left out | rows | AUC | at 1 % | at 0.1 % | flagged | blocked |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, row in report["attacks"].items():
        lines.append(
            f"| {name} | {row['rows']:.0f} | {row['auc']:.3f} | {row['recall_1']:.0%} "
            f"| {row['recall_01']:.0%} | {row['recall_flag']:.0%} | {row['recall_block']:.0%} |"
        )
    return "\n".join(lines)


def shares(rows: dict[str, list[float]], head: str) -> str:
    """A table of the shares at every level."""
    lines = [f"| {head} | at 1 % | at 0.1 % | flagged | blocked |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {one:.1%} | {tenth:.2%} | {flag:.2%} | {block:.2%} |"
        for name, (one, tenth, flag, block) in rows.items()
    ]
    return "\n".join(lines)


def disguises(rows: dict[str, float]) -> str:
    """The obfuscation table, relative to plain text."""
    lines = ["| disguise | kept |", "|---|---|"]
    lines += [f"| {n} | {v / rows['plain']:.0%} |" for n, v in rows.items() if n != "plain"]
    return "\n".join(lines)


def main(report: str, page: str) -> None:
    """Replace the text between the markers of `page`."""
    data = json.loads(Path(report).read_text(encoding="utf-8"))
    benign = {n: v for n, v in data["false_alarms"].items() if max(v) > SMALLEST_SHARE}
    tables = {
        "ATTACKS": attacks(data),
        "LANGUAGES": shares(data["languages"], "language"),
        "BENIGN": shares(benign, "benign dataset"),
        "DISGUISES": disguises(data["disguises"]),
    }
    text = Path(page).read_text(encoding="utf-8")
    for name, table in tables.items():
        block = f"<!-- {name} -->\n{table}\n<!-- /{name} -->"
        text = text.replace(f"@@{name}@@", block)
        text = re.sub(
            rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _m, b=block: b, text, flags=re.DOTALL
        )
    Path(page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3])
