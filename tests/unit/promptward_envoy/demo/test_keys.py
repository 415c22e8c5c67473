"""The demo keys are in the demo policy, as digests, and nowhere else."""

from __future__ import annotations

from importlib import resources

from promptward.policy import load_policy
from promptward_envoy.demo.keys import KEYS, MODEL, keys_in


def source() -> str:
    return resources.files("promptward_envoy").joinpath("data/demo_policy.yaml").read_text()


def test_demo_policy_knows_all_keys_and_holds_none() -> None:
    assert keys_in(load_policy(source())) == KEYS
    assert not any(key in source() for key in KEYS.values())
    assert MODEL in source()


def test_policy_without_a_key_does_not_have_it() -> None:
    import hashlib

    digest = hashlib.sha256(KEYS["tiny"].encode()).hexdigest()
    changed = source().replace(digest, "0" * 64)
    assert set(keys_in(load_policy(changed))) == {"full", "restricted"}
