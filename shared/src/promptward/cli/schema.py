"""`promptward schema`: the JSON Schema of a policy, or its reference page."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from promptward.policy.json_schema import json_schema
from promptward.policy.model import Policy
from promptward.policy.reference import policy_reference


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of a policy",
        description="Print the JSON Schema (draft 2020-12) of a policy.",
    )
    parser.add_argument("--markdown", action="store_true", help="print the reference page instead")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.markdown:
        sys.stdout.write(policy_reference(Policy))
        return 0
    print(json.dumps(json_schema(Policy), indent=2))
    return 0
