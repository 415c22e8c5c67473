"""Stacks with a FAKE Kong in them (.ci/stand-ins/kong), where no Kong image can be had."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pytest_docker.plugin import Services

from stacks.docker import UP_ONE_SHOT, DockerStack, docker, host_network, project
from stacks.stack import COMPOSE, ROOT, wait_for

STAND_INS = {"kong": "kong-stand-in:3", "postgres": "postgres-stand-in:15"}
IMAGE = "promptward-kong:stand-in"


@dataclass
class Containers:
    """Containers of a compose project."""

    services: Services

    def compose(self, command: str) -> str:
        output: bytes = self.services._docker_compose.execute(command)
        return output.decode(errors="replace")

    def container(self, service: str) -> str:
        return self.compose(f"ps --all --quiet {service}").strip()

    def inspect(self, service: str) -> Any:
        return json.loads(docker("inspect", self.container(service)))[0]

    def shell(self, service: str, script: str) -> str:
        return docker("exec", self.container(service), "sh", "-c", script).strip()

    def events(self, service: str) -> list[dict[str, Any]]:
        """What the fake Kong has written down."""
        lines = docker("logs", self.container(service)).splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"fake_kong"')]

    def told(self) -> list[dict[str, Any]]:
        """The calls of the Admin API."""
        return [event for event in self.events("kong") if "path" in event]

    def ended(self, service: str) -> bool:
        return bool(self.inspect(service)["State"]["Status"] == "exited")


@contextlib.contextmanager
def with_fake_kong(folder: str, names: Sequence[str], directory: Path) -> Iterator[Containers]:
    """A stack of deploy/compose on the fake Kong, its one-shot step done.

    Args:
        folder: of deploy/compose.
        names: its compose files, laid over each other.
        directory: for the policy and an overlay.
    """
    for stand_in, tag in STAND_INS.items():
        _build_stand_in(stand_in, tag)
    policy_dir = directory / "policy"
    shutil.copytree(COMPOSE / folder / "policy", policy_dir)
    for path in (policy_dir, *policy_dir.iterdir()):
        path.chmod(path.stat().st_mode | 0o055)  # the containers' user reads it
    environ = {
        "POLICY_DIR": str(policy_dir),
        **dict.fromkeys(("ENVOY_PORT", "KONG_PORT", "WORKER_PORT"), "0"),
        "KONG_PG_PASSWORD": uuid.uuid4().hex,
        "KONG_IMAGE": STAND_INS["kong"],
        "PROMPTWARD_KONG_IMAGE": IMAGE,
        "POSTGRES_IMAGE": STAND_INS["postgres"],
    }
    files = [COMPOSE / folder / name for name in names]
    name = f"it-{directory.name}-{os.getpid()}"
    with project(files, name, environ, directory, UP_ONE_SHOT) as services:
        made = Containers(services)
        wait_for("the one-shot step", lambda: made.ended("configure"), 120.0)
        yield made


@contextlib.contextmanager
def with_driver(directory: Path, policy_dir: Path) -> Iterator[DockerStack]:
    """deploy/compose/kong on the fake Kong, with the driver in it that requests go through.

    Args:
        directory: for overlays.
        policy_dir: what the one-shot step reads.
    """
    _build_stand_in("kong", STAND_INS["kong"])
    driver = Path(__file__).with_name("kong_driver.py")
    mount = {"kong": {"volumes": [f"{driver}:/opt/driver/kong_driver.py:ro"]}}
    overlay = directory / "driver.yaml"
    overlay.write_text(yaml.safe_dump({"services": mount}))
    environ = {
        "POLICY_DIR": str(policy_dir),
        "KONG_PORT": "0",
        "KONG_IMAGE": STAND_INS["kong"],
        "PROMPTWARD_KONG_IMAGE": IMAGE,
    }
    name = f"it-kong-driver-{os.getpid()}"
    files = [COMPOSE / "kong" / "compose.yaml", overlay]
    with project(files, name, environ, directory, UP_ONE_SHOT) as services:
        yield DockerStack("kong-driver", "kong", name, services, policy_dir)


def _build_stand_in(folder: str, tag: str) -> None:
    """Build a folder of .ci/stand-ins; in .ci/docker-tests that has happened already."""
    network = ["--network", "host"] if host_network() else []
    base = ["--build-arg", "BASE_IMAGE=debian:bookworm-slim"]
    docker("build", *network, *base, "--tag", tag, str(ROOT / ".ci" / "stand-ins" / folder))
