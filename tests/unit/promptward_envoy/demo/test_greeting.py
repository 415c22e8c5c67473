"""What the quickstart prints."""

from __future__ import annotations

from promptward.cli.demo import KEYS
from promptward_envoy.demo.greeting import greeting


def test_addresses_keys_and_commands_are_there() -> None:
    text = greeting("http://h:1", "http://h:2", KEYS, "/tmp/log", "/tmp/x")
    for shown in ("http://h:1/v1/chat/completions", "http://h:2/readyz", "/tmp/log", "/tmp/x"):
        assert shown in text
    assert text.count("\ncurl ") == 7
    assert "as given" in greeting("http://h:1", "http://h:2", {}, "", "/tmp/x")
