"""The quickstart's plan; that it runs is tests/integration/envoy/test_quickstart.py."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest

from promptward_envoy import quickstart


def options(**changes) -> argparse.Namespace:
    base = {"port": 0, "policy": None, "ledger": None, "upstream": None, "upstream_log": None}
    return argparse.Namespace(**{**base, **changes})


def test_default_port_gives_way_to_a_free_one(monkeypatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(quickstart, "_PORT", taken.getsockname()[1])
        chosen = quickstart._choose_port(None)
        assert chosen not in (0, taken.getsockname()[1])


def test_port_asked_for_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match="is taken"):
            quickstart._choose_port(taken.getsockname()[1])


def test_everything_defaults_into_the_new_directory(tmp_path) -> None:
    plan = quickstart._plan(options(), tmp_path)
    assert plan.policy.parent == tmp_path
    assert plan.ledger == f"sqlite://{tmp_path}/ledger.db"
    assert plan.upstream_log == tmp_path / "upstream.jsonl"


def test_what_is_given_is_used(tmp_path) -> None:
    plan = quickstart._plan(
        options(policy=Path("p.yaml"), ledger="redis://x", upstream="https://api.example.com"),
        tmp_path,
    )
    assert (plan.policy, plan.ledger, plan.upstream) == (
        Path("p.yaml"),
        "redis://x",
        "https://api.example.com",
    )
    assert plan.upstream_log is None  # Envoy talks to it directly


def test_log_of_a_real_upstream_is_kept(tmp_path) -> None:
    log = tmp_path / "log"
    plan = quickstart._plan(options(upstream="https://api.example.com", upstream_log=log), tmp_path)
    assert (plan.upstream, plan.upstream_log) == ("https://api.example.com", log)
