"""What the quickstart prints."""

from __future__ import annotations

import json
import shlex

from promptward.policy import load_policy
from promptward_workerd.greeting import KEYS, Addresses, greeting, keys_in
from promptward_workerd.toolchain import PROJECT

WHERE = Addresses("http://127.0.0.1:1", "/tmp/p", "/tmp/up log.jsonl", "/tmp/d")


def test_the_demo_policy_knows_the_demo_keys() -> None:
    policy = load_policy((PROJECT / "policy.yaml").read_text("utf-8"))
    assert keys_in(policy) == KEYS


def test_every_curl_line_is_one_a_shell_reads_as_meant() -> None:
    lines = [line for line in greeting(WHERE, KEYS).splitlines() if line.startswith("curl ")]
    assert len(lines) == 7
    for line in lines:
        words = shlex.split(line)
        body = words[words.index("-d") + 1]
        assert json.loads(body)["model"]
        assert "http://127.0.0.1:1/v1/chat/completions" in words
    assert sum("tail -n 1 '/tmp/up log.jsonl'" in line for line in lines) == 1


def test_without_the_demo_keys_their_examples_are_left_out() -> None:
    lines = [line for line in greeting(WHERE, {}).splitlines() if line.startswith("curl ")]
    assert len(lines) == 1
    assert "authorization" not in lines[0]
