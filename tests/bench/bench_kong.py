"""What Kong's plugin server costs: CPU µs per access phase, requests per second, memory.

Variants: a plugin that only reads the body on stock kong-pdk (threads, its default, and gevent);
the same on our server (front alone, and with a worker); and the whole policy: API key, rules,
injection and PII on a 2 KB body. The load is Kong's side of the protocol with canned PDK results,
in a process of its own; CPU is that of the server with its children.

Rounds go through the variants in turn; the figure is the median over rounds. Other work on the
machine slows everything alike, so compare the ratios.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
ROUNDS = 5
CONCURRENCY = (1, 16, 64)
REQUESTS = {1: 1800, 16: 2400, 64: 2400}  # CPU is counted in ticks of 10 ms
BODY_BYTES = 2048
POLICY = {
    "apiVersion": "promptward/v1",
    "kind": "AISecurityPolicy",
    "metadata": {"name": "bench", "version": 1},
    "spec": {
        "identity": {
            "api_keys": {"keys": [{"id": "k", "sha256": hashlib.sha256(b"sk-bench").hexdigest()}]}
        },
        "limits": {"remembered_texts": 0},  # every request has the same text: read it each time
        "authorization": {"rules": [{"id": "chat", "effect": "allow", "models": ["gpt-*"]}]},
        "checks": [
            {"id": "injection", "type": "prompt_injection"},
            {"id": "pii", "type": "pii", "phase": ["request"], "restore": False},
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A server to measure. `command` gets the socket's path in place of SOCKET."""

    name: str
    command: tuple[str, ...]
    plugin: str = "bench"
    config: str = "{}"
    phases: str = "access"


def variants() -> list[Variant]:
    noop = (sys.executable, "-W", "ignore", str(HERE / "noop_kong.py"))
    serve = (sys.executable, "-m", "promptward_kong", "serve", "--socket", "SOCKET")
    return [
        Variant("stock kong-pdk, threads: no-op", (*noop, "stock", "SOCKET")),
        Variant("stock kong-pdk, gevent: no-op", (*noop, "stock", "SOCKET", "-g")),
        Variant("ours, front only: no-op", (*noop, "front", "SOCKET")),
        Variant("ours: no-op", (*noop, "ours", "SOCKET")),
        Variant(
            "ours: full policy",
            (*serve, "--workers", "2", "--audit", "none"),
            "promptward",
            json.dumps({"policy": json.dumps(POLICY)}),
        ),
        Variant(
            "ours: full policy, log phase too",
            (*serve, "--workers", "2", "--audit", "none"),
            "promptward",
            json.dumps({"policy": json.dumps(POLICY)}),
            "access,log",
        ),
    ]


class Server:
    """A variant's process."""

    def __init__(self, variant: Variant, path: Path) -> None:
        command = [str(path) if part == "SOCKET" else part for part in variant.command]
        self.variant = variant
        self.path = path
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while not path.exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"{variant.name} does not start")
            time.sleep(0.05)

    def load(self, concurrency: int, requests: int) -> dict[str, Any]:
        command = [
            *(sys.executable, str(HERE / "kong_load.py"), str(self.path), self.variant.plugin),
            *(
                self.variant.config,
                str(concurrency),
                str(requests),
                str(BODY_BYTES),
                self.variant.phases,
            ),
        ]
        before = self.cpu_s()
        done = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        if done["refused"]:
            raise RuntimeError(f"{self.variant.name} refused {done['refused']} requests")
        return {
            "cpu_us": (self.cpu_s() - before) / done["requests"] * 1e6,
            "rps": done["requests"] / done["seconds"],
        }

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_s(self) -> float:
        return float(sum(sum(p.cpu_times()[:2]) for p in self.family()))

    def memory_mb(self) -> float:
        """Proportional set size: pages the processes share count once."""
        return float(sum(p.memory_full_info().pss for p in self.family())) / 1e6

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def measure() -> dict[str, Any]:
    """Run the bench."""
    with tempfile.TemporaryDirectory(prefix="pwb") as directory:
        servers = []
        try:
            for number, variant in enumerate(variants()):
                servers.append(Server(variant, Path(directory) / f"{number}.sock"))
            return _rounds(servers)
        finally:
            for server in servers:
                server.close()


def _rounds(servers: list[Server]) -> dict[str, Any]:
    samples: dict[tuple[str, int], list[dict[str, float]]] = {}
    for server in servers:
        server.load(16, 400)  # warm: imports, engines, caches
    memory = {server.variant.name: [server.memory_mb()] for server in servers}
    for _ in range(ROUNDS):
        for concurrency in CONCURRENCY:
            for server in servers:
                seen = server.load(concurrency, REQUESTS[concurrency])
                samples.setdefault((server.variant.name, concurrency), []).append(seen)
    for server in servers:
        memory[server.variant.name].append(server.memory_mb())
    base = servers[0].variant.name
    result: dict[str, Any] = {"load": os.getloadavg()[0]}
    for server in servers:
        name = server.variant.name
        result[name] = {
            "memory_mb": [round(value, 1) for value in memory[name]],
            **{
                str(c): {
                    "cpu_us": round(statistics.median(s["cpu_us"] for s in samples[name, c])),
                    "rps": round(statistics.median(s["rps"] for s in samples[name, c])),
                    "cpu_ratio": round(
                        statistics.median(
                            s["cpu_us"] / b["cpu_us"]
                            for s, b in zip(samples[name, c], samples[base, c], strict=True)
                        ),
                        2,
                    ),
                }
                for c in CONCURRENCY
            },
        }
    return result


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    head = "| variant | " + " | ".join(f"{c} at once" for c in CONCURRENCY) + " | memory MB |"
    lines = [
        f"kong plugin server, access phase, {BODY_BYTES} B body: CPU µs per request"
        " (of stock threads), requests/s",
        head,
        "|---|" + "---|" * (len(CONCURRENCY) + 1),
    ]
    for name, seen in result.items():
        if not isinstance(seen, dict):
            continue
        cells = [
            f"{seen[str(c)]['cpu_us']} ({seen[str(c)]['cpu_ratio']:.2f}), {seen[str(c)]['rps']}/s"
            for c in CONCURRENCY
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {seen['memory_mb'][-1]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
