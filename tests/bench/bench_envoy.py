"""What Promptward costs on a real Envoy, next to Envoy bare, in one interleaved run.

    python tests/bench/bench_envoy.py [--rounds N] [--requests N]

Variants: Envoy bare; a service that does nothing, as ext_authz and as ext_proc (the floor for any
service on grpc.aio); our ext_authz (API key, authorization, request budget, injection check); our
ext_proc with the demo policy (the same plus token budget, redaction both ways and restoring); and
that as event streams against a bare stream. Every variant has an Envoy and a service of its own;
rounds visit all of them in turn, so that a slow minute of the machine is slow for all. Read ratios,
not absolutes: the load generator, Envoy, service and upstream share the machine's cores. No two
requests have the same text and the memory of texts is off: everything is read each time.

Latency is of whole answers at concurrency 1; requests per second and CPU at concurrency 16. CPU is
from /proc/PID/task/*/schedstat, memory from VmHWM. How memory grows is measured by bench_soak.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from promptward.cli.demo import KEYS, MODEL
from promptward_envoy import child_process
from promptward_envoy.bootstrap import Bootstrap
from promptward_envoy.envoy_binary import EnvoyNotFoundError, find_envoy
from promptward_envoy.envoy_process import start_envoy, wait_until_live
from promptward_envoy.testing.stack import HOST, free_port, spawn, wait_for_line

HERE = Path(__file__).parent
CONCURRENCY = 16
SERIAL = "0000000000"  # http_load.py writes another number there in every request
TARGET_ADDED_P50_MS, TARGET_RSS_MB = 1.5, 100  # of the issue

# The demo policy without what needs a response or a changed body.
EXT_AUTHZ_POLICY_EDITS = {
    "drop_budgets": ("tokens-per-hour",),
    "drop_checks": ("privacy",),
}


@dataclass(frozen=True)
class Variant:
    """One way to run Envoy."""

    name: str
    filters: tuple[str, ...]
    service: str  # none, noop or ours
    stream: bool = False
    baseline: str = "bare"


VARIANTS = (
    Variant("bare", (), "none"),
    Variant("noop ext_authz", ("ext_authz",), "noop"),
    Variant("noop ext_proc", ("ext_proc",), "noop"),
    Variant("ext_authz", ("ext_authz",), "ours"),
    Variant("ext_proc + redaction", ("ext_proc",), "ours"),
    Variant("bare stream", (), "none", stream=True, baseline="bare stream"),
    Variant("ext_proc stream", ("ext_proc",), "ours", stream=True, baseline="bare stream"),
)


@dataclass
class Running:
    """A variant's processes and what was measured of them."""

    variant: Variant
    port: int
    body: Path
    envoy: int
    service: int | None
    latencies_ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    envoy_cpu_us: list[float] = field(default_factory=list)
    service_cpu_us: list[float] = field(default_factory=list)


def cpu_us(pid: int) -> float:
    """CPU time of all threads of a process so far, in microseconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1000


def memory_mb(pid: int, name: str) -> float:
    """VmHWM (peak) or VmRSS of a process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(name)


def chat(stream: bool) -> bytes:
    """About 2 KB of chat with one address to redact."""
    text = "Please summarise the following note for the weekly report of the sales team. " * 22
    text += f"Its number is {SERIAL}. "
    document: dict[str, Any] = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant of the sales team."},
            {"role": "user", "content": text + "Send it to jane.roe@example.com."},
        ],
        "max_tokens": 200,
    }
    if stream:
        document["stream"] = True
    return json.dumps(document).encode()


def write_policies(directory: Path, *, remembers: bool = False) -> dict[str, Path]:
    """The demo policy, and what ext_authz alone can enforce of it.

    Args:
        remembers: leave the memory of texts on; without it every text is read each time.
    """

    source = resources.files("promptward_envoy").joinpath("data/demo_policy.yaml").read_text()
    policy = yaml.safe_load(source)
    spec = policy["spec"]
    if not remembers:  # the answers are all alike, and so are the system prompts
        spec["limits"] = {"remembered_texts": 0}
    for budget in spec["budgets"]:
        budget["limit"] = 10**12
    full = directory / "ext_proc.yaml"
    full.write_text(json.dumps(policy))
    drop = EXT_AUTHZ_POLICY_EDITS
    spec["budgets"] = [b for b in spec["budgets"] if b["id"] not in drop["drop_budgets"]]
    spec["checks"] = [c for c in spec["checks"] if c["id"] not in drop["drop_checks"]]
    alone = directory / "ext_authz.yaml"
    alone.write_text(json.dumps(policy))
    return {"ext_proc": full, "ext_authz": alone}


def start_service(variant: Variant, directory: Path, policies: dict[str, Path]) -> Any:
    """The service of a variant, or None; its address is `service.sock` in `directory`."""
    address = f"unix:{directory}/service.sock"
    if variant.service == "noop":
        command = [str(HERE / "noop_service.py"), address]
        process = spawn(command, directory / "service.log")
        wait_for_line(process, directory / "service.log", b"serving")
        return process
    if variant.service == "none":
        return None
    status = directory / "status.json"
    command = ["-m", "promptward_envoy", "serve", "--listen", address, "--audit", "none"]
    command += ["--policy", str(policies[variant.filters[0]]), "--admin", "off"]
    command += ["--ledger", f"sqlite://{directory}/ledger.db", "--status-file", str(status)]
    with (directory / "service.log").open("ab") as log:
        process = child_process.start([sys.executable, *command], stdout=log, stderr=log)
    while not status.exists():
        if process.poll() is not None:
            raise RuntimeError((directory / "service.log").read_text())
    return process


@contextlib.contextmanager
def running(
    variants: Sequence[Variant] = VARIANTS, *, remembers: bool = False
) -> Iterator[list[Running]]:
    """Every variant, up and warm.

    Args:
        remembers: see `write_policies`.

    Raises:
        EnvoyNotFoundError: there is none on this machine.
    """
    binary = find_envoy(os.environ, HERE)
    if binary is None:
        raise EnvoyNotFoundError("no Envoy: run make install")
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="pw-bench-") as name:
        top = Path(name)
        policies = write_policies(top, remembers=remembers)
        try:
            canned = spawn([str(HERE / "canned_upstream.py"), HOST], top / "up.log")
            processes.append(canned)
            line = wait_for_line(canned, top / "up.log", b"listening")
            origin = f"http://{HOST}:{int(line.split()[1])}"
            yield [
                start_variant(v, top / str(n), binary, origin, policies, processes)
                for n, v in enumerate(variants)
            ]
        finally:
            child_process.stop(processes, 5)


def start_variant(
    variant: Variant,
    directory: Path,
    binary: Path,
    origin: str,
    policies: dict[str, Path],
    processes: list[subprocess.Popen[bytes]],
) -> Running:
    directory.mkdir()
    service = start_service(variant, directory, policies)
    if service is not None:
        processes.append(service)
    settings = Bootstrap(
        (HOST, free_port()),
        [f"unix:{directory}/service.sock"],
        origin,
        str(directory / "admin.sock"),
        filters=variant.filters,
    )
    envoy = start_envoy(binary, directory, settings)
    processes.append(envoy)
    wait_until_live(envoy, directory, settings.admin_socket, 20)
    body = directory / "body.json"
    body.write_bytes(chat(variant.stream))
    pid = service.pid if service is not None else None
    started = Running(variant, settings.listen[1], body, envoy.pid, pid)
    load(started, 4, 200)
    return started


def load(target: Running, concurrency: int, requests: int) -> dict[str, Any]:
    """Run the load generator; every answer must be 200."""
    command = [sys.executable, str(HERE / "http_load.py"), HOST, str(target.port)]
    command += [str(concurrency), str(requests), str(target.body), KEYS["full"]]
    done = subprocess.run(command, capture_output=True, check=True, timeout=600)
    result: dict[str, Any] = json.loads(done.stdout)
    assert set(result["statuses"]) == {"200"}, (target.variant.name, result["statuses"])
    return result


def measure_round(target: Running, requests: int) -> None:
    """One round of one variant."""
    target.latencies_ms += load(target, 1, requests // 4)["latencies_ms"]
    pids = [target.envoy] + ([target.service] if target.service else [])
    before = [cpu_us(pid) for pid in pids]
    result = load(target, CONCURRENCY, requests)
    used = [(cpu_us(pid) - b) / requests for pid, b in zip(pids, before, strict=True)]
    target.rates.append(requests / result["seconds"])
    target.envoy_cpu_us.append(used[0])
    target.service_cpu_us += used[1:]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def report(targets: list[Running]) -> list[dict[str, Any]]:
    """One row for each variant, with ratios to its baseline."""
    by_name = {t.variant.name: t for t in targets}
    rows = []
    for target in targets:
        base = by_name[target.variant.baseline]
        p50, p99 = (percentile(target.latencies_ms, share) for share in (0.50, 0.99))
        base50, base99 = (percentile(base.latencies_ms, share) for share in (0.50, 0.99))
        rate = statistics.median(target.rates)
        rows.append(
            {
                "variant": target.variant.name,
                "p50_ms": round(p50, 3),
                "p99_ms": round(p99, 3),
                "added_p50_ms": round(p50 - base50, 3),
                "added_p99_ms": round(p99 - base99, 3),
                "requests_per_s": round(rate),
                "rate_to_bare": round(rate / statistics.median(base.rates), 3),
                "envoy_cpu_us": round(statistics.median(target.envoy_cpu_us)),
                "service_cpu_us": round(statistics.median(target.service_cpu_us or [0])),
                "envoy_peak_mb": round(memory_mb(target.envoy, "VmHWM")),
                "service_peak_mb": round(memory_mb(target.service, "VmHWM"))
                if target.service
                else 0,
            }
        )
    return rows


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown, and the targets, met or missed."""
    rows = result["rows"]
    return "\n".join([*markdown(rows), "", *verdicts(rows)])


def markdown(rows: list[dict[str, Any]]) -> list[str]:
    """Rows of the same keys as the lines of a table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return lines + ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """The targets, one line each."""
    by_name = {row["variant"]: row for row in rows}
    lines = []
    for name in ("ext_authz", "ext_proc + redaction"):
        added, floor = (by_name[n]["added_p50_ms"] for n in (name, f"noop {name.split()[0]}"))
        met = "met" if added <= TARGET_ADDED_P50_MS else "MISSED"
        lines.append(
            f"{name}: added p50 {added} ms, of which a service that does nothing {floor} ms;"
            f" target {TARGET_ADDED_P50_MS}: {met}"
        )
    peak = max(row["service_peak_mb"] for row in rows)
    met = "met" if peak <= TARGET_RSS_MB else "MISSED"
    return [*lines, f"service peak {peak} MB, target {TARGET_RSS_MB}: {met}"]


def measure(rounds: int = 5, requests: int = 800) -> dict[str, Any]:
    """Run every variant in turn, `rounds` times."""
    with running() as targets:
        for _ in range(rounds):
            for target in targets:
                measure_round(target, requests)
        return {"rounds": rounds, "requests": requests, "rows": report(targets)}


def main(argv: list[str]) -> int:
    """Run this bench alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=800, help="per variant and round")
    options = parser.parse_args(argv)
    print(table(measure(options.rounds, options.requests)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
