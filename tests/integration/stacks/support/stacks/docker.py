"""The docker backend: the compose files themselves, brought up by pytest-docker."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pytest_docker.plugin import Services, get_docker_ip, get_docker_services

from stacks.stack import COMPOSE, Stack

# The service of each stack that is published, and its port in the container.
_FRONT = {"envoy": ("envoy", 10000), "cloudflare": ("worker", 8787)}
_GUARDS = {"envoy": ("promptward-a", "promptward-b"), "cloudflare": ("worker",)}
_UP_S = 180


def docker(*arguments: str) -> str:
    """Run the docker client; its output."""
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def engine_answers() -> bool:
    """Whether an engine and compose v2 are there."""
    if shutil.which("docker") is None:
        return False
    asked = (["docker", "version"], ["docker", "compose", "version"])
    return all(subprocess.run(c, capture_output=True, check=False).returncode == 0 for c in asked)


class DockerStack(Stack):
    """Containers of one compose project."""

    backend = "docker"

    def __init__(self, gateway: str, project: str, services: Services, policy_dir: Path) -> None:
        super().__init__(policy_dir)
        self.gateway = gateway
        self.guards = _GUARDS[gateway]
        self._services = services
        self._network = f"{project}_inside"
        self._containers: dict[str, str] = {}
        self._find_front()

    def compose(self, command: str) -> str:
        """Run a compose command on this project."""
        output: bytes = self._services._docker_compose.execute(command)
        return output.decode(errors="replace")

    @property
    def services(self) -> list[str]:
        return self.compose("config --services").split()

    def _log(self, service: str) -> str:
        # Not `compose logs`: it writes terminal codes into what it prints.
        command = ["docker", "logs", self.container(service)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        return done.stdout.decode(errors="replace")

    def container(self, service: str) -> str:
        """The id of the service's container; no test makes a new one."""
        if service not in self._containers:
            self._containers[service] = self.compose(f"ps --all --quiet {service}").strip()
        return self._containers[service]

    def _find_front(self) -> None:
        """The published port, which changes with every start: the kernel picks it."""
        service, port = _FRONT[self.gateway]
        published = self.compose(f"port {service} {port}").strip().rpartition(":")[2]
        self.http = f"http://{get_docker_ip()}:{published}"

    def restart(self, service: str) -> None:
        self.compose(f"restart {service}")
        self._find_front()

    def _kill(self, service: str) -> None:
        self.compose(f"kill -s SIGKILL {service}")

    def _start(self, service: str) -> None:
        docker("start", self.container(service))
        self._find_front()

    def _freeze(self, service: str, *, frozen: bool) -> None:
        self.compose(f"{'pause' if frozen else 'unpause'} {service}")

    def _connect(self, service: str, *, connected: bool) -> None:
        container = self.container(service)
        if connected:
            docker("network", "connect", "--alias", service, self._network, container)
        else:
            docker("network", "disconnect", self._network, container)


@contextlib.contextmanager
def running(gateway: str, directory: Path, policy_dir: Path) -> Iterator[DockerStack]:
    """Build what has to be built, start the stack, and leave nothing behind."""
    file = COMPOSE / gateway / "compose.yaml"
    files = [str(file), *_host_network_builds(file, directory)]
    project = f"it-{gateway}-{os.getpid()}"
    port = f"{_FRONT[gateway][0].upper()}_PORT"
    with (
        _environment({"POLICY_DIR": str(policy_dir), port: "0"}),
        get_docker_services(
            "docker compose",
            files,
            project,
            [f"up --build --detach --wait --wait-timeout {_UP_S}"],
            ["down --volumes --remove-orphans --timeout 5"],
        ) as services,
    ):
        yield DockerStack(gateway, project, services, policy_dir)


def _host_network_builds(file: Path, directory: Path) -> list[str]:
    """An overlay for an engine without a bridge of its own (.ci/engine.sh): builds use the host's.

    pip's own settings go along as the build secret that the Dockerfiles take.
    """
    if "bridge" in docker("network", "ls", "--format", "{{.Name}}").split():
        return []
    build: dict[str, Any] = {"network": "host"}
    overlay: dict[str, Any] = {}
    if (pip_conf := os.environ.get("IT_PIP_CONF")) is not None:
        build["secrets"] = ["pip_conf"]
        overlay["secrets"] = {"pip_conf": {"file": pip_conf}}
    services = yaml.safe_load(file.read_text())["services"]
    overlay["services"] = {n: {"build": build} for n, s in services.items() if "build" in s}
    target = directory / "host-network.yaml"
    target.write_text(yaml.safe_dump(overlay))
    return [str(target)]


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables for docker compose, which pytest-docker passes no others."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
