"""`promptward scan`: score texts for injection and find personal data, JSON Lines in and out.

Constant memory: a line is read, answered and forgotten. Offsets are code points of the text given.
A classifier that the policy names is asked about each line; a line it did not read says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from promptward.checks.pii import PiiCheck, PiiSettings
from promptward.checks.prompt_injection import PromptInjectionCheck, PromptInjectionSettings
from promptward.cli.hosting import classifier_for
from promptward.cli.reading import UnreadableError, read_policy
from promptward.exchange import Source
from promptward.policy.decode import decode
from promptward.spelling import did_you_mean
from promptward.sync import run_sync

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
        failed = failed or "error" in answer or "unread" in answer
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 2 if failed else 0


def _lines() -> Iterator[str]:
    while line := sys.stdin.readline(MAX_LINE_CHARS + 1):
        yield line


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _source(written: object) -> Source:
    if not isinstance(written, str) or written not in set(Source):
        hint = did_you_mean(str(written), Source)
        raise ValueError(f"source: expected one of {', '.join(Source)}{hint}")
    return Source(written)


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
        self._classifier = classifier_for([s.classifier.query for s in pii if s.classifier])

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
        try:
            row = json.loads(line, parse_constant=_no_constant)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise ValueError('expected an object with a string "text"')
        source = _source(row.get("source") or "user")
        text = row["text"]
        matches, unread = self._find(text)
        answer = {"id": row.get("id"), "injection": self._score(text, source), "pii": matches}
        return answer | {"unread": unread} if unread else answer

    def _score(self, text: str, source: Source) -> dict[str, Any]:
        best: dict[str, Any] = {"score": 0.0, "action": "allow", "rules": []}
        for check in self._injection:
            score, action, rules = check.judge(text, source)
            if score >= best["score"]:
                best = {"score": score, "action": action, "rules": rules}
        return best

    def _find(self, text: str) -> tuple[list[dict[str, Any]], list[str]]:
        """What all checks find, and why their classifiers did not read it, if so."""
        found = [run_sync(check.find(text, self._classifier)) for check in self._pii]
        matches = sorted(
            (m for ms, _ in found for m in ms), key=lambda m: (m.start, m.end, m.entity)
        )
        rows = [
            {"type": m.entity, "start": m.start, "end": m.end, "score": m.score} for m in matches
        ]
        return rows, sorted({reason for _, reason in found if reason})
