"""What a Worker can enforce."""

from __future__ import annotations

from importlib.metadata import entry_points

from promptward.capabilities import Capability
from promptward_worker.capabilities import CLOUDFLARE


def test_every_missing_capability_says_what_to_do_instead() -> None:
    assert set(Capability) - CLOUDFLARE.can == set(CLOUDFLARE.notes)


def test_lint_finds_it_by_name() -> None:
    (entry,) = entry_points(group="promptward.gateways", name="cloudflare")
    assert entry.load() is CLOUDFLARE
