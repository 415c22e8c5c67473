"""What budgets add to a request through Envoy: CPU of the service and of Envoy itself, and latency.

    python tests/bench/run.py budgets

Three deployments of ext_proc, each with an Envoy and a service of its own: authentication and
authorization alone; the same with three budgets (tokens per user and hour, cost per user and
month, requests per model and minute) in SQLite; and in Redis. Token and cost budgets are settled
to the usage in the answer, so that their price includes having Envoy show the answer to the service.
Rounds visit all in turn: read differences within one run. CPU is at concurrency 16, latency at 1.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import bench_envoy as envoy  # noqa: E402
import yaml  # noqa: E402
from bench_envoy import Running, Variant  # noqa: E402

from promptward.testing.redis_server import RedisServer  # noqa: E402
from promptward_envoy import child_process  # noqa: E402
from promptward_envoy.bootstrap import Bootstrap  # noqa: E402
from promptward_envoy.envoy_binary import EnvoyNotFoundError, find_envoy  # noqa: E402
from promptward_envoy.envoy_process import start_envoy, wait_until_live  # noqa: E402
from promptward_envoy.testing.stack import HOST, free_port, spawn, wait_for_line  # noqa: E402

ROUNDS = 7
REQUESTS = 1600
BASE = "auth only"
BUDGETS = [
    {"id": "user-hour", "unit": "total_tokens", "limit": 10**12, "window": {"duration": "1h"}},
    {"id": "user-month", "unit": "cost_usd", "limit": 10**6, "window": {"months": 1}},
    {
        "id": "model-minute",
        "unit": "requests",
        "limit": 10**12,
        "partition_by": ["model"],
        "window": {"duration": "1m"},
    },
]
PRICES = [{"model": "*", "input_per_million": 2.5, "output_per_million": 10.0}]


def policy(with_budgets: bool) -> str:
    """The demo policy's identity and authorization, with or without the budgets."""
    source = envoy.resources.files("promptward_envoy").joinpath("data/demo_policy.yaml")
    document = yaml.safe_load(source.read_text())
    spec = {"identity": document["spec"]["identity"], "authorization": {"default": "allow"}}
    if with_budgets:
        spec |= {"budgets": BUDGETS, "prices": PRICES}
    return json.dumps({**document, "spec": spec})


def start(name: str, ledger: str, directory: Path, binary: Path, origin: str) -> Any:
    """A service and its Envoy; returns both processes and what to measure of them."""
    directory.mkdir()
    policy_file, status = directory / "policy.yaml", directory / "status.json"
    policy_file.write_text(policy(bool(ledger)))
    address = f"unix:{directory}/service.sock"
    command = ["-m", "promptward_envoy", "serve", "--listen", address, "--audit", "none"]
    command += ["--policy", str(policy_file), "--admin", "off", "--status-file", str(status)]
    command += ["--ledger", ledger or f"sqlite://{directory}/ledger.db"]
    with (directory / "service.log").open("ab") as log:
        service = child_process.start([sys.executable, *command], stdout=log, stderr=log)
    while not status.exists():
        if service.poll() is not None:
            raise RuntimeError((directory / "service.log").read_text())
    admin = str(directory / "admin.sock")
    settings = Bootstrap((HOST, free_port()), [address], origin, admin, filters=("ext_proc",))
    proxy = start_envoy(binary, directory, settings)
    wait_until_live(proxy, directory, settings.admin_socket, 20)
    body = directory / "body.json"
    body.write_bytes(envoy.chat(False))
    variant = Variant(name, ("ext_proc",), "ours")
    target = Running(variant, settings.listen[1], body, proxy.pid, service.pid)
    return [service, proxy], target


@contextlib.contextmanager
def running(binary: Path) -> Iterator[list[Running]]:
    """Every deployment, up and warm."""
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="pwb") as name:
        top = Path(name)
        redis = RedisServer(top, tcp=True)
        redis.start()
        try:
            upstream = spawn([str(HERE / "canned_upstream.py"), HOST], top / "up.log")
            processes.append(upstream)
            line = wait_for_line(upstream, top / "up.log", b"listening")
            origin = f"http://{HOST}:{int(line.split()[1])}"
            ledgers = {
                BASE: "",
                "+ 3 budgets, SQLite": f"sqlite://{top}/shared.db",
                "+ 3 budgets, Redis": redis.tcp_url,
            }
            targets = []
            for number, (label, ledger) in enumerate(ledgers.items()):
                started, target = start(label, ledger, top / str(number), binary, origin)
                processes += started
                targets.append(target)
                envoy.load(target, 4, 200)
            yield targets
        finally:
            child_process.stop(processes, 5)
            redis.stop()


def measure(rounds: int = ROUNDS, requests: int = REQUESTS) -> dict[str, Any]:
    """CPU and latency of each deployment, and what the budgets add."""
    binary = find_envoy(os.environ, HERE)
    if binary is None:
        raise EnvoyNotFoundError("no Envoy: run make install")
    with running(binary) as targets:
        for _ in range(rounds):
            for target in targets:
                envoy.measure_round(target, requests)
    base = targets[0]
    return {target.variant.name: row(target, base) for target in targets}


def row(target: Running, base: Running) -> dict[str, float]:
    """Medians over rounds; `added` is the median of the differences round by round."""

    def added(name: str) -> float:
        pairs = zip(getattr(target, name), getattr(base, name), strict=True)
        return statistics.median(mine - theirs for mine, theirs in pairs)

    return {
        "service_cpu_us": statistics.median(target.service_cpu_us),
        "service_added_us": added("service_cpu_us"),
        "envoy_cpu_us": statistics.median(target.envoy_cpu_us),
        "envoy_added_us": added("envoy_cpu_us"),
        "p50_ms": statistics.median(target.latencies_ms),
        "added_p50_ms": statistics.median(target.latencies_ms)
        - statistics.median(base.latencies_ms),
    }


def table(result: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| ext_proc | service CPU µs | added | Envoy CPU µs | added | p50 ms | added |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, seen in result.items():
        lines.append(
            f"| {name} | {seen['service_cpu_us']:.0f} | {seen['service_added_us']:+.0f}"
            f" | {seen['envoy_cpu_us']:.0f} | {seen['envoy_added_us']:+.0f}"
            f" | {seen['p50_ms']:.2f} | {seen['added_p50_ms']:+.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
