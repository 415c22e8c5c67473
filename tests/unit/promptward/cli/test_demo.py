"""The demo policies know the demo keys, and the printed commands survive a shell."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

import pytest

from promptward.cli.demo import EXAMPLES, KEYS, MODEL, Example, curl, keys_in, lines
from promptward.policy import load_policy

ROOT = Path(__file__).parents[4]
POLICIES = pytest.mark.parametrize(
    "file",
    [
        "envoy-ext-authz/src/promptward_envoy/data/demo_policy.yaml",
        "cloudflare-workers/policy.yaml",
    ],
)


@POLICIES
def test_a_demo_policy_knows_all_keys_and_holds_none(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert keys_in(load_policy(text)) == KEYS
    assert not any(key in text for key in KEYS.values())
    assert MODEL in text


@POLICIES
def test_a_policy_without_a_key_does_not_have_it(file: str) -> None:
    digest = hashlib.sha256(KEYS["tiny"].encode()).hexdigest()
    changed = (ROOT / file).read_text("utf-8").replace(digest, "0" * 64)
    assert set(keys_in(load_policy(changed))) == {"full", "restricted"}


def test_commands_are_words_of_a_shell() -> None:
    command = shlex.split(curl("http://h:1", Example("t", "full", 'it\'s "quoted" $HOME')))
    body = json.loads(command[command.index("-d") + 1])
    assert body["messages"][0]["content"] == 'it\'s "quoted" $HOME'
    assert command[command.index(f"authorization: Bearer {KEYS['full']}") - 1] == "-H"
    assert command.count("http://h:1/v1/chat/completions") == 1


def test_the_example_of_a_spent_budget_spends_it() -> None:
    (example,) = [e for e in EXAMPLES if "429" in e.title]
    command = shlex.split(curl("http://h:1", example))
    assert command.count("http://h:1/v1/chat/completions") == 2


def test_one_example_shows_what_the_upstream_got() -> None:
    shown = [line for line in lines("http://h:1", KEYS, "/tmp/up log.jsonl") if "tail -n 1" in line]
    assert len(shown) == 1
    assert shown[0].endswith("; tail -n 1 '/tmp/up log.jsonl'")
    assert not any("tail" in line for line in lines("http://h:1", KEYS, ""))


def test_every_case_of_a_first_look_is_there() -> None:
    titles = " ".join(e.title for e in EXAMPLES)
    for word in ("200", "401", "403", "429", "injection", "personal data", "streamed"):
        assert word in titles


def test_examples_of_keys_that_a_policy_lacks_are_left_out() -> None:
    text = "\n".join(lines("http://h:1", {"full": KEYS["full"]}, ""))
    assert KEYS["full"] in text
    assert KEYS["tiny"] not in text
    assert KEYS["restricted"] not in text
    without = [line for line in lines("http://h:1", {}, "") if line.startswith("curl ")]
    assert len(without) == 1
    assert "authorization" not in without[0]
