"""The commands of docs/how-to-docker.md that are marked as tested, as they are written there.

Replaced in them: ports, by free ones; and on an engine without a bridge (.ci/engine.sh), which builds on
the host's network only, the building: `docker build` is told so, and compose takes what that has built.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from stacks.docker import host_network
from stacks.native import free_address
from stacks.stack import ROOT

PAGE = (ROOT / "docs" / "how-to-docker.md").read_text()
STACKS = {"envoy": ("10000", "ENVOY_PORT"), "cloudflare": ("8787", "WORKER_PORT")}


def first_block() -> str:
    """The first console block: a stack is started, asked, looked at and stopped."""
    found = re.search(r"```console\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def commands(block: str) -> list[str]:
    """The commands behind the prompts."""
    return [part.strip() for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part.strip()]


def run(command: str, environ: dict[str, str]) -> str:
    """Run it in a shell at the root of the repository; what it writes."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # a build
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def images() -> None:
    """The builds of our own images, as documented."""
    builds = re.findall(r"^\$ (docker build .*?)  +# tested$", PAGE, re.MULTILINE)
    assert len(builds) == 2
    for command in builds:
        on = "docker build --network host " if host_network() else "docker build "
        run(command.replace("docker build ", on), {})


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("folder", STACKS)
def test_a_stack_is_started_asked_and_stopped(folder: str) -> None:
    """The page says: the same with `cloudflare` and port 8787."""
    port, variable = STACKS[folder]
    free = str(free_address()[1])
    environ = {variable: free, "COMPOSE_PROJECT_NAME": f"it-documented-{folder}-{os.getpid()}"}
    block = first_block().replace("compose/envoy", f"compose/{folder}")
    if host_network():
        block = block.replace("--build ", "")
    up, ask, logs, down = commands(block.replace(":10000", f":{free}"))
    try:
        run(up, environ)
        assert "jane.roe@example.com" in run(ask, environ)
        reached = run(logs, environ)
        assert "chat/completions" in reached or "messages" in reached
        assert "jane.roe@example.com" not in reached
    finally:
        run(down, environ)
    assert f":{port}" in PAGE


@pytest.mark.usefixtures("images")
def test_bill_of_materials_is_shown() -> None:
    (command,) = (c for c in commands(PAGE) if "sbom.cdx.json" in c and "docker run" in c)
    assert '"bomFormat"' in run(command.partition("\n```")[0], {})
