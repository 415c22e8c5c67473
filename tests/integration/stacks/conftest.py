"""One suite, two backends: `--backend docker|native|auto` (may be repeated), or IT_BACKEND.

`docker` starts the compose files of deploy/compose, `native` the same programs as processes. A
backend that was asked for by name must work: its absence is an error, never a skip. `auto` is
docker when an engine and compose answer, else native.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from stacks.docker import KONG_IMAGE, engine_answers, running
from stacks.fake_kong import with_driver
from stacks.native import NativeStack
from stacks.native_cloudflare import NativeCloudflare
from stacks.native_envoy import NativeEnvoy
from stacks.native_kong_driver import NativeKongDriver
from stacks.stack import COMPOSE, Stack

_GATEWAYS = ("envoy", "cloudflare")
_NATIVE: dict[str, type[NativeStack]] = {
    "envoy": NativeEnvoy,
    "cloudflare": NativeCloudflare,
    "kong-driver": NativeKongDriver,
}

# Kong is in no package registry: where its image is given (IT_KONG_IMAGE), its stack is tested on that.
# Elsewhere a driver is in its place on both backends, which is not Kong and says so. Not in either:
# what the policy of the stack or the missing database rules out.
_NOT_KONG = {
    "test_stream_arrives_while_the_upstream_is_still_writing",
    "test_policy_is_reloaded_and_a_broken_one_is_not",
}
_ONLY_DOCKER = {
    "test_all_stand_in.py",
    "test_documented_commands.py",
    "test_images.py",
    "test_kong_stand_in.py",
}
_ONLY_NATIVE = {"test_kong_driver.py"}


def backends(config: pytest.Config) -> list[str]:
    """The backends to run on."""
    asked = config.getoption("--backend", default=None) or os.environ.get(
        "IT_BACKEND", "auto"
    ).split(",")
    found = [("docker" if engine_answers() else "native") if b == "auto" else b for b in asked]
    unknown = set(found) - {"docker", "native"}
    if unknown:
        raise pytest.UsageError(
            f"IT_BACKEND: expected docker, native or auto, not {sorted(unknown)}"
        )
    return list(dict.fromkeys(found))


def pytest_report_header() -> str:
    """Say what this run leaves out."""
    given = os.environ.get(KONG_IMAGE, f"not given ({KONG_IMAGE})")
    return f"Kong's image, for its stack in containers: {given}"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Images exist only on the docker backend, the driver in Kong's place only on the native one."""
    name, on = collection_path.name, backends(config)
    if (name in _ONLY_DOCKER and "docker" not in on) or (
        name in _ONLY_NATIVE and "native" not in on
    ):
        return True
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stack" not in metafunc.fixturenames:
        return
    on = backends(metafunc.config)
    if metafunc.definition.path.name == "test_images.py":
        on = ["docker"]
    if "kong_driver" in metafunc.fixturenames:
        runs = [("kong-driver", "native")]
    elif "envoy" in metafunc.fixturenames:
        runs = [("envoy", b) for b in on]
    else:
        runs = [(gateway, b) for gateway in _GATEWAYS for b in on] + _kong_runs(metafunc, on)
    metafunc.parametrize("started", runs, indirect=True, ids=map("-".join, runs), scope="session")


def _kong_runs(metafunc: pytest.Metafunc, on: list[str]) -> list[tuple[str, str]]:
    """Kong itself where its image is given, else what stands in its place."""
    gateways = metafunc.definition.path.name == "test_gateways.py"
    if not gateways or metafunc.function.__name__ in _NOT_KONG:
        return []
    real = {"docker": KONG_IMAGE in os.environ, "native": False}
    return [("kong" if real[b] else "kong-driver", b) for b in on]


@pytest.fixture(scope="session")
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """One running stack, shared by the session's tests."""
    gateway, backend = request.param
    directory = tmp_path_factory.mktemp(f"{gateway}-{backend}")
    policy_dir = directory / "policy"
    folder = "kong" if gateway == "kong-driver" else gateway
    shutil.copytree(COMPOSE / folder / "policy", policy_dir)
    for path in (policy_dir, *policy_dir.iterdir()):
        path.chmod(path.stat().st_mode | 0o055)  # the containers' user reads it
    with contextlib.ExitStack() as cleanup:
        if backend == "docker":
            if not engine_answers():
                pytest.fail(
                    "docker backend: no engine answers `docker version` and `docker compose version`"
                )
            of_compose = (
                with_driver(directory, policy_dir)
                if gateway == "kong-driver"
                else running(gateway, directory, policy_dir)
            )
            made: Stack = cleanup.enter_context(of_compose)
        else:
            native = _NATIVE[gateway](directory, policy_dir)
            cleanup.callback(native.stop)
            native.boot()
            made = native
        made.wait_until_serving()
        yield made


@pytest.fixture
def stack(started: Stack) -> Iterator[Stack]:
    """Any gateway, whole before and after each test, under the policy that is shipped."""
    shipped = (COMPOSE / started.folder / "policy" / "policy.yaml").read_text()
    yield started
    changed = started.policy_file.read_text() != shipped
    if changed:
        started.policy_file.write_text(shipped)
    started.heal()
    if changed:  # told when everything runs again, and before it is expected to serve
        started.policy_changed()
    started.wait_until_whole()


@pytest.fixture
def envoy(stack: Stack) -> Stack:
    """The Envoy stack."""
    return stack


@pytest.fixture
def kong_driver(stack: Stack) -> NativeKongDriver:
    """The native stack with a driver in Kong's place."""
    assert isinstance(stack, NativeKongDriver)
    return stack
