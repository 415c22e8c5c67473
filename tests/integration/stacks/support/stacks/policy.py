"""Change the policy of a running stack."""

from __future__ import annotations

import itertools
import uuid

import yaml

from stacks.client import chat
from stacks.stack import Stack, wait_for

_numbers = itertools.count(2)


def requests_budget(tiny: int) -> dict[str, object]:
    """A budget nobody has used yet: `tiny` requests an hour for the key of that name."""
    return {
        "id": f"calls-{uuid.uuid4().hex}",
        "partition_by": ["principal"],
        "unit": "requests",
        "limit": 100000,
        "window": {"type": "sliding", "duration": "1h"},
        "overrides": [{"when": {"tier": "tiny"}, "limit": tiny}],
    }


def change_policy(stack: Stack, **spec: object) -> None:
    """Put other sections into the policy file and wait until every replica enforces them.

    The new policy names a model of its own; only replicas that have it let that model pass.
    """
    policy = yaml.safe_load(stack.policy_file.read_text())
    policy["metadata"]["version"] = next(_numbers)
    policy["spec"].update(spec)
    probe = f"probe-{uuid.uuid4().hex}"
    rule = {
        "id": "probe",
        "effect": "allow",
        "when": {"claims": {"tier": "full"}},
        "models": [probe],
    }
    rules = [r for r in policy["spec"]["authorization"]["rules"] if r["id"] != "probe"]
    policy["spec"]["authorization"]["rules"] = [*rules, rule]
    stack.policy_file.write_text(yaml.safe_dump(policy))
    stack.policy_changed()
    wait_for("the new policy", lambda: _enforced_everywhere(stack, probe))


def _enforced_everywhere(stack: Stack, model: str) -> bool:
    """Whether many requests in a row, spread over the replicas, may use `model`."""
    return all(chat(stack, "full", "probe", model=model).status == 200 for _ in range(12))
