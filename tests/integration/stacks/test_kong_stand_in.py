"""deploy/compose/kong and kong-plugins/Dockerfile on a FAKE Kong, where no Kong image can be had.

Real here: the Dockerfile's layers, the plugin server in its container, Redis, Postgres (Debian's), the
one-shot steps and every line of the compose files. Fake: the command `kong`
(.ci/stand-ins/kong), which starts the plugin server as Kong would, writes down what its Admin API is
told, and proxies nothing. test_gateways.py runs on the same stack with a driver in it, or on a real
image (IT_KONG_IMAGE).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from stacks.docker import docker
from stacks.fake_kong import Containers, with_fake_kong
from stacks.stack import COMPOSE, wait_for

VARIANTS = {
    "dbless": ["compose.yaml"],
    "postgres": ["compose.yaml", "compose.postgres.yaml"],
}
LOCKED = {"ReadonlyRootfs": True, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"]}


@dataclass
class KongStack(Containers):
    """A running variant of deploy/compose/kong."""

    variant: str


@pytest.fixture(scope="module", params=VARIANTS)
def kong(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KongStack]:
    """The stack, with its one-shot step done."""
    directory = tmp_path_factory.mktemp(f"kong-{request.param}")
    with with_fake_kong("kong", VARIANTS[request.param], directory) as made:
        yield KongStack(made.services, request.param)


def test_stand_in_says_so(kong: KongStack) -> None:
    assert "fake" in kong.inspect("kong")["Config"]["Labels"]["dev.promptward.stand-in"]


def test_plugin_server_is_ready_in_its_container(kong: KongStack) -> None:
    """The image's HEALTHCHECK asks it through its socket."""
    assert kong.inspect("kong")["State"]["Health"]["Status"] == "healthy"
    (described,) = (event["plugin"] for event in kong.events("kong") if "plugin" in event)
    assert "promptward" in json.dumps(described)


def test_one_shot_step_tells_kong_the_policy(kong: KongStack) -> None:
    assert kong.inspect("configure")["State"]["ExitCode"] == 0
    told = kong.told()
    shipped = (COMPOSE / "kong" / "policy" / "policy.yaml").read_text()
    assert json.dumps(shipped) in json.dumps(told)
    paths = [(call["method"], call["path"].split("/")[1]) for call in told]
    assert (
        paths
        == {
            "dbless": [("POST", "config")],
            "postgres": [("PUT", name) for name in ("services", "routes", "plugins", "plugins")],
        }[kong.variant]
    )


def test_one_shot_step_may_be_run_again(kong: KongStack) -> None:
    before = kong.told()
    kong.compose("run --rm configure")
    wait_for("the calls", lambda: len(kong.told()) == 2 * len(before))
    assert kong.told() == before * 2


def test_database_is_up_and_was_migrated(kong: KongStack) -> None:
    if kong.variant == "dbless":
        assert "migrations" not in kong.compose("config --services")
        return
    assert kong.inspect("postgres")["State"]["Health"]["Status"] == "healthy"
    verbs = [event["migrations"] for event in kong.events("migrations")]
    assert verbs[:3] == ["bootstrap", "up", "finish"]  # again with every run of the one-shot step
    assert kong.inspect("migrations")["State"]["ExitCode"] == 0
    query = "psql -h 127.0.0.1 -U kong -d kong -tAc 'select current_user'"
    assert kong.shell("postgres", f"PGPASSWORD=$POSTGRES_PASSWORD {query}") == "kong"


def test_containers_are_locked_down(kong: KongStack) -> None:
    for service in kong.compose("config --services").split():
        host = kong.inspect(service)["HostConfig"]
        assert {name: host[name] for name in LOCKED} == LOCKED, service
        assert host["Memory"] > 0
    assert kong.shell("kong", "id -un") == "kong"
    assert kong.shell("kong", "touch /opt/x 2>/dev/null || echo refused") == "refused"
    assert "CapEff:\t0000000000000000" in kong.shell("kong", "cat /proc/self/status")


def test_image_has_the_plugin_and_nothing_to_build_with(kong: KongStack) -> None:
    labels = kong.inspect("kong")["Config"]["Labels"]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert labels[f"org.opencontainers.image.{name}"]
    document = json.loads(kong.shell("kong", f"cat {labels['dev.promptward.sbom']}"))
    assert document["bomFormat"] == "CycloneDX"
    parts = {c["name"] for c in document["components"]}
    assert parts >= {"promptward", "promptward-kong", "kong-pdk"}
    assert not parts & {"pip", "setuptools", "wheel"}
    assert kong.shell("kong", "ls /opt/promptward/bin | grep -c ^pip || true") == "0"
    gate = "/opt/promptward/lua/kong/plugins/promptward-gate"
    assert {"handler.lua", "schema.lua"} <= set(kong.shell("kong", f"ls {gate}").split())


def test_only_the_proxy_is_published(kong: KongStack) -> None:
    published = {}
    for service in kong.compose("ps --services").split():
        ports = kong.inspect(service)["NetworkSettings"]["Ports"]
        published |= {port: bound for port, bound in ports.items() if bound}
    assert set(published) == {"8000/tcp"}
    assert {b["HostIp"] for b in published["8000/tcp"]} == {"127.0.0.1"}


@pytest.mark.parametrize("name", VARIANTS)
def test_compose_takes_the_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONG_PG_PASSWORD", "x")
    files = [a for f in VARIANTS[name] for a in ("--file", str(COMPOSE / "kong" / f))]
    found = json.loads(docker("compose", *files, "config", "--format", "json"))
    assert ("postgres" in found["services"]) is (name == "postgres")


def test_compose_asks_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KONG_PG_PASSWORD", raising=False)
    files = [a for f in VARIANTS["postgres"] for a in ("--file", str(COMPOSE / "kong" / f))]
    with pytest.raises(AssertionError, match="set KONG_PG_PASSWORD"):
        docker("compose", *files, "config", "--quiet")
