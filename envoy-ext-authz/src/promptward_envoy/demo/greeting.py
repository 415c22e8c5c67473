"""What the quickstart prints once requests can be sent."""

from __future__ import annotations

from collections.abc import Mapping

from promptward.cli import demo


def greeting(
    url: str, admin_url: str, keys: Mapping[str, str], upstream_log: str, directory: str
) -> str:
    """Where everything is, and requests to try; without the demo keys, only the addresses."""
    lines = [
        "",
        "Promptward is in front of your LLM route.",
        f"  endpoint   {url}/v1/chat/completions",
        f"  admin      {admin_url}/readyz  /policy  /budgets  /metrics",
        f"  upstream   sees: {upstream_log}" if upstream_log else "  upstream   as given",
        f"  logs       {directory}",
        *demo.lines(url, keys, upstream_log),
        "",
        "Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)
