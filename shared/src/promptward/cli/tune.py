"""`promptward tune`: what the injection thresholds do on your own labelled traffic."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promptward.checks.prompt_injection import PromptInjectionSettings, thresholds_of
from promptward.cli.reading import UnreadableError, read_policy
from promptward.injection import DEFAULT_THRESHOLDS, InjectionDetector
from promptward.injection.tuning import MIN_HARMLESS, TuningReport, read_examples, tune
from promptward.policy.decode import decode


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "tune",
        help="measure and suggest injection thresholds on labelled texts",
        description='Read JSON Lines {"text", "label", "source"} (label 1 attack, 0 harmless),'
        " score them, and suggest thresholds per source. No text is kept or printed.",
        epilog=f"A source needs {MIN_HARMLESS} harmless texts for a suggestion. Exit codes: 0, or 2"
        " when the input is unreadable.",
    )
    parser.add_argument("examples", metavar="FILE", help="labelled texts, - for standard input")
    parser.add_argument("--policy", metavar="FILE", help="use this policy's injection check")
    for name, default in (("flag", 0.01), ("block", 0.001)):
        parser.add_argument(
            f"--{name}-share",
            type=_share,
            default=default,
            metavar="SHARE",
            help=f"share of the harmless texts, 0 to 1, that it may {name} (default: {default})",
        )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("expected a share from 0 to 1")
    return share


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    try:
        settings = _settings(options.policy)
        detector = InjectionDetector(
            detectors=frozenset(settings.detectors), allowlist=settings.allowlist
        )
        current = thresholds_of(settings) if options.policy else DEFAULT_THRESHOLDS
        report = tune(
            read_examples(_lines(options.examples)),
            detector,
            thresholds=current,
            flag_share=options.flag_share,
            block_share=options.block_share,
        )
    except (UnreadableError, ValueError) as error:
        print(f"promptward: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        _print(report)
    return 0


def _settings(policy: str | None) -> PromptInjectionSettings:
    if policy is None:
        return decode(PromptInjectionSettings, {"id": "injection", "type": "prompt_injection"})
    for check in read_policy(policy).spec.checks:
        if isinstance(check, PromptInjectionSettings):
            return check
    raise UnreadableError(f"{policy}: no prompt_injection check")


def _lines(name: str) -> Iterator[str]:
    if name == "-":
        yield from sys.stdin
        return
    with Path(name).open(encoding="utf-8") as file:
        yield from file


def _print(report: TuningReport) -> None:
    for item in report.sources:
        print(f"{item.source}: {item.attacks} attacks, {item.harmless} harmless")
        print(
            f"  now        flag {item.current.flag:g}, block {item.current.block:g}:"
            f" catches {item.caught:.1%}, false alarms {item.false_alarms:.2%}"
        )
        if item.suggested is None:
            print(f"  suggestion none: fewer than {MIN_HARMLESS} harmless texts")
            continue
        print(
            f"  suggestion flag {item.suggested.flag:g}, block {item.suggested.block:g}:"
            f" catches {item.caught_after:.1%}, false alarms {item.false_alarms_after:.2%}"
        )
    for rule, harmless, attacks in report.noisy_rules:
        print(
            f"rule {rule}: fires on {harmless} harmless texts and {attacks} attacks; allow-list it?"
        )
