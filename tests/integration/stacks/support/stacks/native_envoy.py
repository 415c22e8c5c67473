"""deploy/compose/envoy as processes: its commands and settings, with addresses replaced."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml

from promptward_envoy.envoy_binary import find_envoy
from stacks.link import Address
from stacks.native import BackendMissingError, NativeStack, at, command_of, free_address
from stacks.stack import COMPOSE

_FOLDER = COMPOSE / "envoy"
_REPLICAS = ("promptward-a", "promptward-b")


class NativeEnvoy(NativeStack):
    """Envoy, two replicas, Redis and the demo upstream."""

    gateway = folder = "envoy"
    guards = _REPLICAS
    ledger_port: Address  # of promptward-a, where a test has it

    def boot(self) -> None:
        envoy = find_envoy(os.environ, Path(__file__).parent)
        if envoy is None:
            raise BackendMissingError("native backend: needs Envoy (make install)")
        services = yaml.safe_load((_FOLDER / "compose.yaml").read_text())["services"]
        reached = {("redis", 6379): self.run_redis(services["redis"])}
        reached["upstream", 8080] = self.run_upstream(services["upstream"])
        for name in _REPLICAS:
            ledger = reached["redis", 6379]
            reached[name, 9910] = self._run_replica(name, services[name]["environment"], ledger)
        listen = free_address()
        self.http = f"http://{at(listen)}"
        config = yaml.safe_load((_FOLDER / "envoy.yaml").read_text())
        config["admin"]["address"]["pipe"]["path"] = str(self.directory / "admin.sock")
        _replace_addresses(config, {**reached, ("0.0.0.0", 10000): listen})
        file = self.directory / "envoy.yaml"
        file.write_text(yaml.safe_dump(config))
        arguments = [
            str(file) if a == "/etc/envoy/envoy.yaml" else a
            for a in command_of(services["envoy"])[1:]
        ]
        self.run("envoy", [str(envoy), *arguments, "--use-dynamic-base-id"], {})

    def _run_replica(self, name: str, environ: dict[str, str], redis: Address) -> Address:
        listen, reached = self.serve_on(name)
        settings = {**environ, "PROMPTWARD_LEDGER": f"redis://{at(redis)}/0"}
        settings |= {"PROMPTWARD_LISTEN": at(listen), "PROMPTWARD_POLICY": str(self.policy_file)}
        self.run(name, [sys.executable, "-m", "promptward_envoy", "serve"], settings)
        return reached


def _replace_addresses(node: object, by: dict[Address, Address]) -> None:
    """Replace every `socket_address` below `node`; one that is not listed is a mistake here."""
    if isinstance(node, list):
        for item in node:
            _replace_addresses(item, by)
    if isinstance(node, dict):
        found = node.get("socket_address")
        if found is not None:
            host, port = by[found["address"], found["port_value"]]
            found.update(address=host, port_value=port)
        for item in node.values():
            _replace_addresses(item, by)
