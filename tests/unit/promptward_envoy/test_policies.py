"""Loading and reloading: all or nothing, the old policies on error, problems kept."""

from __future__ import annotations

import asyncio
import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptward.errors import PolicyError
from promptward_envoy.engines import UnknownPolicyError
from promptward_envoy.metrics import Metrics
from promptward_envoy.policies import PolicyTable, load_file


def write(path: Path, name: str = "demo", version: int = 1, **spec: Any) -> Path:
    source = resources.files("promptward_envoy").joinpath("data/demo_policy.yaml").read_text()
    document = yaml.safe_load(source)
    document["metadata"] = {"name": name, "version": version}
    document["spec"].update(spec)
    path.write_text(json.dumps(document))
    return path


def table(*files: Path) -> PolicyTable:
    return PolicyTable(files, lambda policy: policy.ref, Metrics())  # type: ignore[arg-type]


def engine(made: PolicyTable, name: str = "") -> Any:
    return made.policy(name).engine


def test_first_file_is_the_default_and_all_have_names(tmp_path) -> None:
    made = table(write(tmp_path / "a", "one"), write(tmp_path / "b", "two"))
    asyncio.run(made.load())
    assert engine(made).name == engine(made, "one").name == "one"
    assert engine(made, "two").name == "two"
    assert [ref.name for ref in made.refs] == ["one", "two"]
    with pytest.raises(UnknownPolicyError):
        made.policy("three")


def test_nothing_is_in_force_before_the_first_load(tmp_path) -> None:
    made = table(write(tmp_path / "a"))
    assert made.refs == ()
    with pytest.raises(UnknownPolicyError):
        made.policy("")


def test_reload_keeps_everything_when_one_file_is_wrong(tmp_path) -> None:
    one, two = write(tmp_path / "a", "one"), write(tmp_path / "b", "two")
    made = table(one, two)

    async def scenario() -> None:
        await made.load()
        write(one, "one", version=2)
        two.write_text("kind: nonsense")
        problems = await made.reload()
        assert problems
        assert all(str(two) in p for p in problems)
        assert engine(made, "one").version == 1
        assert made.problems == problems
        write(two, "two", version=2)
        assert await made.reload() == ()
        assert [ref.version for ref in made.refs] == [2, 2]
        assert made.problems == ()

    asyncio.run(scenario())


@pytest.mark.parametrize("damage", ["missing", "binary", "same name"])
def test_unusable_files(tmp_path, damage) -> None:
    one, two = write(tmp_path / "a", "one"), write(tmp_path / "b", "two")
    if damage == "missing":
        two.unlink()
    elif damage == "binary":
        two.write_bytes(b"\xff\xfe")
    else:
        write(two, "one")
    with pytest.raises(PolicyError):
        asyncio.run(table(one, two).load())


def test_watch_reloads_when_bytes_change_and_tries_a_wrong_file_once(tmp_path) -> None:
    file = write(tmp_path / "a")
    made = table(file)

    async def scenario() -> None:
        await made.load()
        await made.reload_if_changed()
        assert made.reloads == 0
        file.write_text("kind: nonsense")
        for _ in range(3):
            await made.reload_if_changed()
        assert (made.reloads, engine(made).version) == (1, 1)
        write(file, version=2)
        await made.reload_if_changed()
        assert (made.reloads, engine(made).version) == (2, 2)

    asyncio.run(scenario())


def test_a_fault_of_ours_keeps_the_policies_and_the_watch(tmp_path) -> None:
    file = write(tmp_path / "a")
    broken: list[Exception] = []

    def build(policy: Any) -> Any:
        if broken:
            raise broken[0]
        return policy.ref

    made = PolicyTable((file,), build, Metrics())

    async def scenario() -> None:
        await made.load()
        broken.append(KeyError("a value of the policy"))
        write(file, version=2)
        await made.reload_if_changed()
        assert made.problems == ("the policies could not be loaded: KeyError",)
        assert engine(made).version == 1
        broken.clear()
        assert await made.reload() == ()
        assert engine(made).version == 2

    asyncio.run(scenario())


def test_exchange_under_way_keeps_its_engine(tmp_path) -> None:
    file = write(tmp_path / "a")
    made = table(file)

    async def scenario() -> None:
        await made.load()
        held = engine(made)
        write(file, version=2)
        await made.reload()
        assert (held.version, engine(made).version) == (1, 2)

    asyncio.run(scenario())


def test_what_envoy_cannot_enforce_is_refused(tmp_path) -> None:
    file = write(tmp_path / "a", limits={"max_body_bytes": 32 << 20})
    with pytest.raises(PolicyError, match="max_body_bytes"):
        load_file(file)


def test_trust_in_other_gateways_alone_is_refused(tmp_path) -> None:
    file = write(tmp_path / "a", identity={"gateway": {"methods": ["kong_consumer"]}})
    with pytest.raises(PolicyError, match="envoy verifies callers as envoy_jwt_authn, not as kong"):
        load_file(file)
    write(file, identity={"gateway": {"methods": ["kong_consumer", "envoy_jwt_authn"]}})
    assert load_file(file).spec.identity.gateway is not None


def test_whether_ext_authz_alone_is_enough_is_known(tmp_path) -> None:
    full = write(tmp_path / "a", "full")
    request_only = write(
        tmp_path / "b",
        "request-only",
        budgets=[],
        checks=[{"id": "injection", "type": "prompt_injection"}],
    )
    made = table(full, request_only)
    asyncio.run(made.load())
    assert not made.policy("full").ext_authz_alone
    assert made.policy("request-only").ext_authz_alone


def test_metrics_show_what_is_in_force_and_count_reloads(tmp_path) -> None:
    file = write(tmp_path / "a")
    metrics = Metrics()
    made = PolicyTable([file], lambda policy: policy.ref, metrics)  # type: ignore[arg-type]

    async def scenario() -> None:
        await made.load()
        write(file, version=2)
        await made.reload()
        file.write_text("x: y")
        await made.reload()

    asyncio.run(scenario())
    text = metrics.render().decode()
    assert 'version="1"} 0.0' in text
    assert 'version="2"} 1.0' in text
    assert 'promptward_policy_reloads_total{outcome="ok"} 1.0' in text
    assert 'promptward_policy_reloads_total{outcome="error"} 1.0' in text
