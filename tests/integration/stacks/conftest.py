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
from stacks.native_cloudflare import NativeCloudflare
from stacks.native_envoy import NativeEnvoy
from stacks.stack import COMPOSE, Stack

_NATIVE = {"envoy": NativeEnvoy, "cloudflare": NativeCloudflare}

# Kong is in no package registry: its stack is tested where its image is given (IT_KONG_IMAGE), in
# containers. Not in it: what its policy or its missing database rules out.
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
    """Images exist only on the docker backend."""
    if collection_path.name in _ONLY_DOCKER and "docker" not in backends(config):
        return True
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stack" not in metafunc.fixturenames:
        return
    gateways = ("envoy",) if "envoy" in metafunc.fixturenames else tuple(_NATIVE)
    on = backends(metafunc.config)
    if metafunc.definition.path.name == "test_images.py":
        on = ["docker"]
    runs = [(gateway, b) for gateway in gateways for b in on]
    if _kong_takes(metafunc) and "docker" in on:
        runs.append(("kong", "docker"))
    metafunc.parametrize("started", runs, indirect=True, ids=map("-".join, runs), scope="session")


def _kong_takes(metafunc: pytest.Metafunc) -> bool:
    gateways = metafunc.definition.path.name == "test_gateways.py"
    return gateways and KONG_IMAGE in os.environ and metafunc.function.__name__ not in _NOT_KONG


@pytest.fixture(scope="session")
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """One running stack, shared by the session's tests."""
    gateway, backend = request.param
    directory = tmp_path_factory.mktemp(f"{gateway}-{backend}")
    policy_dir = directory / "policy"
    shutil.copytree(COMPOSE / gateway / "policy", policy_dir)
    for path in (policy_dir, *policy_dir.iterdir()):
        path.chmod(path.stat().st_mode | 0o055)  # the containers' user reads it
    with contextlib.ExitStack() as cleanup:
        if backend == "docker":
            if not engine_answers():
                pytest.fail(
                    "docker backend: no engine answers `docker version` and `docker compose version`"
                )
            made: Stack = cleanup.enter_context(running(gateway, directory, policy_dir))
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
    shipped = (COMPOSE / started.gateway / "policy" / "policy.yaml").read_text()
    yield started
    started.heal()
    if started.policy_file.read_text() != shipped:
        started.policy_file.write_text(shipped)
        started.policy_changed()


@pytest.fixture
def envoy(stack: Stack) -> Stack:
    """The Envoy stack."""
    return stack
