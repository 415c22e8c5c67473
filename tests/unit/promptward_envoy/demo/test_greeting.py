"""The printed commands survive a shell."""

from __future__ import annotations

import json
import shlex

from promptward_envoy.demo.greeting import Example, curl, examples, greeting
from promptward_envoy.demo.keys import KEYS


def test_commands_are_words_of_a_shell() -> None:
    command = shlex.split(curl("http://h:1", Example("t", "full", 'it\'s "quoted" $HOME')))
    body = json.loads(command[command.index("-d") + 1])
    assert body["messages"][0]["content"] == 'it\'s "quoted" $HOME'
    assert f"-Hauthorization: Bearer {KEYS['full']}" in command
    assert "http://h:1/v1/chat/completions" in command


def test_every_case_of_a_first_look_is_there() -> None:
    titles = " ".join(e.title for e in examples("log"))
    for word in ("200", "401", "403", "429", "injection", "personal data", "streamed"):
        assert word in titles


def test_examples_of_keys_that_a_policy_lacks_are_left_out() -> None:
    text = greeting("http://h:1", "http://h:2", {"full": KEYS["full"]}, "", "/tmp/x")
    assert KEYS["full"] in text
    assert KEYS["tiny"] not in text
    assert KEYS["restricted"] not in text
