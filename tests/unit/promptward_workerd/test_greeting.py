"""What the quickstart prints."""

from __future__ import annotations

from promptward.cli.demo import KEYS
from promptward_workerd.greeting import Addresses, greeting

WHERE = Addresses("http://127.0.0.1:1", "/tmp/p", "/tmp/up log.jsonl", "/tmp/d")


def test_addresses_keys_and_commands_are_there() -> None:
    text = greeting(WHERE, KEYS)
    for shown in (
        "http://127.0.0.1:1/v1/chat/completions",
        "/tmp/p",
        "/tmp/up log.jsonl",
        "/tmp/d",
    ):
        assert shown in text
    assert text.count("\ncurl ") == 7
    assert "upstream   sees" not in greeting(Addresses("http://h", "/p", "", "/d"), {})
