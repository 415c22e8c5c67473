"""`promptward schema`: the JSON Schema of a policy, for editors and other tools."""

from __future__ import annotations

import argparse
import json
from typing import Any

from promptward.policy.json_schema import json_schema
from promptward.policy.model import Policy


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of a policy",
        description="Print the JSON Schema (draft 2020-12) of a policy.",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    del options
    print(json.dumps(json_schema(Policy), indent=2))
    return 0
