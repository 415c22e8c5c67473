"""What is inside the images that were built for the docker backend, and how they run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from stacks.docker import DockerStack, docker

# Build tools: none of them may be left.
_TOOLS = "pip pip3 gcc cc g++ make ld npm node git curl wget"
_OURS = {
    "envoy": ["promptward-a", "promptward-b", "upstream"],
    "cloudflare": ["worker", "upstream"],
}
_SBOMS = {
    "promptward-a": ["/opt/promptward/sbom.cdx.json"],
    "worker": ["/opt/sbom/python.cdx.json", "/opt/sbom/npm.cdx.json"],
}
_COMPONENTS = {
    "promptward-a": {"promptward", "promptward-envoy", "grpcio"},
    "worker": {"PyYAML", "@cloudflare/workerd-linux-64"},
}


def inspect(stack: DockerStack, service: str) -> dict[str, Any]:
    """`docker inspect` of a service's container."""
    found: dict[str, Any] = json.loads(docker("inspect", stack.container(service)))[0]
    return found


def shell(stack: DockerStack, service: str, script: str) -> str:
    """The output of a shell script in a running container."""
    return docker("exec", stack.container(service), "sh", "-c", script).strip()


def test_containers_run_unprivileged(stack: DockerStack) -> None:
    for service in _OURS[stack.gateway]:
        assert shell(stack, service, "id -u") == "10001"
        host = inspect(stack, service)["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0
        assert shell(stack, service, "touch /opt/x 2>/dev/null || echo refused") == "refused"
        assert "CapEff:\t0000000000000000" in shell(stack, service, "cat /proc/self/status")


def test_no_build_tools_are_left(stack: DockerStack) -> None:
    for service in _OURS[stack.gateway]:
        script = f"for t in {_TOOLS}; do command -v $t; done; true"
        assert shell(stack, service, script) == ""


def test_images_say_what_they_are(stack: DockerStack) -> None:
    for service in _OURS[stack.gateway]:
        labels = inspect(stack, service)["Config"]["Labels"]
        for name in ("title", "description", "licenses", "version", "revision"):
            assert labels[f"org.opencontainers.image.{name}"]


def test_bills_of_materials_list_what_is_installed(stack: DockerStack) -> None:
    service = stack.guards[0]
    documents = [json.loads(shell(stack, service, f"cat {path}")) for path in _SBOMS[service]]
    assert {d["bomFormat"] for d in documents} == {"CycloneDX"}
    parts = [c for d in documents for c in d["components"]]
    names = {"/".join(filter(None, (c.get("group"), c["name"]))) for c in parts}
    assert names >= _COMPONENTS[service]


def test_health_check_asks_the_service(stack: DockerStack) -> None:
    """The image's command; how often it runs is the engine's business."""
    service = stack.guards[0]
    command = inspect(stack, service)["Config"]["Healthcheck"]["Test"][1:]
    docker("exec", stack.container(service), *command)
    if stack.gateway == "envoy":
        with pytest.raises(AssertionError, match="UNAVAILABLE"):
            docker("exec", stack.container(service), *command[:-1], "127.0.0.1:9")


def test_only_loopback_is_published(stack: DockerStack) -> None:
    bindings = docker("ps", "--no-trunc", "--format", "{{.Ports}}").replace("\n", ",").split(",")
    published = [b.strip() for b in bindings if "->" in b]
    assert published
    assert all(b.startswith("127.0.0.1:") for b in published)
