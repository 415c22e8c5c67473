"""`promptward scan`: score texts for injection and find personal data, JSON Lines in and out.

Constant memory: a line is read, answered and forgotten. Offsets are code points of the text given.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from promptward.checks.pii import PiiCheck, PiiSettings
from promptward.checks.prompt_injection import PromptInjectionCheck, PromptInjectionSettings
from promptward.cli.reading import UnreadableError, read_policy
from promptward.exchange import Source
from promptward.policy.decode import decode

# one line may hold a whole document; more is not a prompt
MAX_LINE_CHARS = 16 << 20


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "scan",
        help="score texts (JSON Lines on standard input)",
        description='Read JSON Lines {"id", "text", "source"} from standard input and write one'
        ' line each: {"id", "injection": {"score", "action", "rules"}, "pii": [...]}.',
        epilog=f"Sources: {', '.join(Source)} (default: user). Exit codes: 0, or 2 when a line"
        " was unreadable (it is answered with an error and the scan goes on).",
    )
    parser.add_argument("--policy", metavar="FILE", help="use this policy's content checks")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    try:
        scanner = _Scanner(options.policy)
    except UnreadableError as error:
        print(f"promptward: {error}", file=sys.stderr)
        return 2
    failed = False
    for answer in scanner.scan(_lines()):
        failed = failed or "error" in answer
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 2 if failed else 0


def _lines() -> Iterator[str]:
    while line := sys.stdin.readline(MAX_LINE_CHARS + 1):
        yield line


class _Scanner:
    """The content checks to scan with."""

    def __init__(self, policy_path: str | None) -> None:
        injection: list[PromptInjectionSettings] = []
        pii: list[PiiSettings] = []
        if policy_path is None:
            injection = [
                decode(PromptInjectionSettings, {"id": "injection", "type": "prompt_injection"})
            ]
            pii = [decode(PiiSettings, {"id": "pii", "type": "pii"})]
        else:
            for settings in read_policy(policy_path).spec.checks:
                if isinstance(settings, PromptInjectionSettings):
                    injection.append(settings)
                elif isinstance(settings, PiiSettings):
                    pii.append(settings)
        self._injection = [PromptInjectionCheck(s) for s in injection]
        self._pii = [PiiCheck(s, MAX_LINE_CHARS) for s in pii]

    def scan(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        """One answer per line that is not blank."""
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield self._answer(line)
            except ValueError as error:
                yield {"error": f"line {number}: {error}"}

    def _answer(self, line: str) -> dict[str, Any]:
        if len(line) > MAX_LINE_CHARS:
            raise ValueError(f"longer than {MAX_LINE_CHARS} characters")
        row = json.loads(line)
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise ValueError('expected an object with a string "text"')
        source = Source(row.get("source") or "user")
        text = row["text"]
        return {
            "id": row.get("id"),
            "injection": self._score(text, source),
            "pii": self._find(text),
        }

    def _score(self, text: str, source: Source) -> dict[str, Any]:
        best: dict[str, Any] = {"score": 0.0, "action": "allow", "rules": []}
        for check in self._injection:
            score, action, rules = check.judge(text, source)
            if score >= best["score"]:
                best = {"score": score, "action": action, "rules": rules}
        return best

    def _find(self, text: str) -> list[dict[str, Any]]:
        matches = [m for check in self._pii for m in check.find(text)]
        return [
            {"type": m.entity, "start": m.start, "end": m.end, "score": m.score}
            for m in sorted(matches, key=lambda m: (m.start, m.end, m.entity))
        ]
