"""`promptward lint`: is this policy valid, and can that gateway enforce all of it?"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from promptward.capabilities import GatewayCapabilities
from promptward.cli.reading import UnreadableError, environment_secret, read_text
from promptward.errors import PolicyError
from promptward.policy import lint, load_policy
from promptward.policy.load import UnparsableError

# adapters announce their capability sets here, so that a new gateway needs no change in the core
GATEWAYS_GROUP = "promptward.gateways"


@dataclass(frozen=True, slots=True)
class _Report:
    readable: bool
    findings: tuple[str, ...]


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "lint",
        help="check a policy and what a gateway can enforce of it",
        description="Check a policy; with --gateway, list what that gateway cannot enforce.",
        epilog="Exit codes: 0 clean, 1 findings, 2 unreadable.",
    )
    parser.add_argument("policy", metavar="POLICY", help="policy file, - for standard input")
    parser.add_argument(
        "--gateway",
        action="append",
        default=[],
        metavar="NAME",
        help=f"capability set to hold it against: {', '.join(sorted(gateway_names()))}"
        " (may be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def gateway_names() -> list[str]:
    """Names of every capability set that an installed adapter announces."""
    return [e.name for e in entry_points(group=GATEWAYS_GROUP)]


def load_gateway(name: str) -> GatewayCapabilities:
    """The capability set called `name`.

    Raises:
        UnreadableError: no installed adapter announces it.
    """
    for entry in entry_points(group=GATEWAYS_GROUP):
        if entry.name == name:
            gateway = entry.load()
            assert isinstance(gateway, GatewayCapabilities)
            return gateway
    known = ", ".join(sorted(gateway_names())) or "none; install an adapter"
    raise UnreadableError(f"unknown gateway {name!r} (installed: {known})")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    try:
        gateways = [load_gateway(name) for name in options.gateway]
        report = _lint(options.policy, gateways)
    except UnreadableError as error:
        report = _Report(False, (str(error),))
    except OSError as error:
        report = _Report(False, (f"{error.filename}: {error.strerror}",))
    if options.json:
        print(json.dumps({"readable": report.readable, "findings": list(report.findings)}))
    else:
        _print(options, report)
    if not report.readable:
        return 2
    return 1 if report.findings else 0


def _lint(path: str, gateways: list[GatewayCapabilities]) -> _Report:
    text = read_text(path)
    try:
        policy = load_policy(text, environment_secret)
    except UnparsableError as error:
        raise UnreadableError(f"{path}: {error}") from None
    except PolicyError as error:
        return _Report(True, error.problems)
    return _Report(True, tuple(str(f) for g in gateways for f in lint(policy.model, g)))


def _print(options: argparse.Namespace, report: _Report) -> None:
    out = sys.stdout if report.readable else sys.stderr
    for finding in report.findings:
        print(finding if report.readable else f"promptward: {finding}", file=out)
    if not report.findings:
        names = f" for {', '.join(options.gateway)}" if options.gateway else ""
        print(f"{options.policy}: ok{names}")
