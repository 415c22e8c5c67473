"""What `promptward-worker quickstart` prints once requests can be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from promptward.cli import demo


@dataclass(frozen=True, slots=True)
class Addresses:
    """What the greeting names.

    Attributes:
        url: of the Worker.
        policy_file: the local KV namespace's file with the policy.
        upstream_log: file with the bodies that reached the demo upstream, or empty.
        directory: with logs and the Durable Objects' storage.
    """

    url: str
    policy_file: str
    upstream_log: str
    directory: str


def greeting(where: Addresses, keys: Mapping[str, str]) -> str:
    """Where everything is, and requests to try; without the demo keys, only those without one."""
    lines = [
        "",
        "The Promptward Worker is in front of your LLM route, on a real workerd.",
        f"  endpoint   {where.url}/v1/chat/completions",
        f"  policy     {where.policy_file} (edit it: enforced within a second)",
        *([f"  upstream   sees: {where.upstream_log}"] if where.upstream_log else ()),
        f"  logs       {where.directory}",
        *demo.lines(where.url, keys, where.upstream_log),
        "",
        "Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)
