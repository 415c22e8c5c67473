"""The docker backend: the compose files themselves, brought up by pytest-docker."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pytest_docker.plugin import Services, get_docker_ip, get_docker_services

from stacks.stack import COMPOSE, Stack

# The service of each stack that is published, and its port in the container.
_FRONT = {"envoy": ("envoy", 10000), "cloudflare": ("worker", 8787), "kong": ("kong", 8000)}
_GUARDS = {"envoy": ("promptward-a", "promptward-b"), "cloudflare": ("worker",), "kong": ("kong",)}
KONG_IMAGE = "IT_KONG_IMAGE"
"""Environment variable: a Kong image to build the plugin's image on."""
_UP = "up --build --detach --wait --wait-timeout 180"
UP_ONE_SHOT = "up --build --detach"
"""For stacks with a step that ends: `--wait` takes that for a failure."""


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

    def __init__(
        self, gateway: str, folder: str, project: str, services: Services, policy_dir: Path
    ) -> None:
        super().__init__(policy_dir)
        self.gateway, self.folder = gateway, folder
        self.guards = _GUARDS[folder]
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
        service, port = _FRONT[self.folder]
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
        if service == "kong":  # without a database it has forgotten everything
            self.policy_changed()

    def policy_changed(self) -> None:
        if self.folder == "kong":
            self.compose("run --rm configure")

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
    name = f"it-{gateway}-{os.getpid()}"
    port = f"{_FRONT[gateway][0].upper()}_PORT"
    environ = {"POLICY_DIR": str(policy_dir), port: "0"}
    if gateway == "kong":
        environ["KONG_IMAGE"] = os.environ[KONG_IMAGE]
    up = UP_ONE_SHOT if gateway == "kong" else _UP
    with project([COMPOSE / gateway / "compose.yaml"], name, environ, directory, up) as services:
        yield DockerStack(gateway, gateway, name, services, policy_dir)


@contextlib.contextmanager
def project(
    files: Sequence[Path], name: str, environ: Mapping[str, str], directory: Path, up: str
) -> Iterator[Services]:
    """A compose project, ended with everything that belongs to it.

    Args:
        files: compose files, laid over each other.
        name: the project's.
        environ: variables of the compose files.
        directory: where an overlay may be put.
        up: the command that starts it.
    """
    down = "down --volumes --remove-orphans --timeout 5"
    with _environment(environ):
        paths = [*map(str, files), *_host_network_builds(files, directory)]
        with get_docker_services("docker compose", paths, name, [up], [down]) as services:
            yield services


def host_network() -> bool:
    """Whether builds need the host's network: the engine has no bridge (.ci/engine.sh)."""
    return "bridge" not in docker("network", "ls", "--format", "{{.Name}}").split()


def _host_network_builds(files: Sequence[Path], directory: Path) -> list[str]:
    """An overlay for such an engine.

    pip's own settings go along as the build secret that the Dockerfiles take.
    """
    if not host_network():
        return []
    build: dict[str, Any] = {"network": "host"}
    overlay: dict[str, Any] = {}
    if (pip_conf := os.environ.get("IT_PIP_CONF")) is not None:
        build["secrets"] = ["pip_conf"]
        overlay["secrets"] = {"pip_conf": {"file": pip_conf}}
    given = [argument for file in files for argument in ("--file", str(file))]
    services = json.loads(docker("compose", *given, "config", "--format", "json"))["services"]
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
