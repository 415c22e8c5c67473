"""What the Worker costs: CPU of the workerd process a request, by what it does.

The figures are CPU milliseconds of the whole process from /proc, so the runtime and the Durable
Object count too. Variants run interleaved, round after round; the figure is the median over the
rounds, and the ratio is to the bare Worker of the same rounds. Each process is warmed up first: V8
compiles what runs often in the background, which doubles the cost of the first thousand requests.

    bare         reads the body and answers
    proxy        also asks the origin and passes its answer on
    auth+budget  API key, authorization, two budgets in the Durable Object; forwards
    full         and prompt injection and personal data, in requests and responses
    core         what of `full` is the core itself: decided in a loop, ledger and audit faked
    floor        what `full` reads, asks, writes (to the disk) and answers, with nothing decided
    floor+core   and the core in between, once, as a request meets it: not warm from a loop

The aim was `full` within `bare` + 3 x `core`. What no Worker can save is `floor`; what is ours is
the rest, which the table shows beside 3 x `core`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import statistics
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from promptward_workerd import config, toolchain, vendor
from promptward_workerd.process import Workerd, make_snapshot
from promptward_workerd.testing.scripted_origin import Origin, Received, Wire, completion, event

BODY_BYTES = 2048
WARM_UP = 1500
ROUNDS = 5
REQUESTS = 200
STREAMS = 10
CHUNKS = (10, 210)
CORE_LOOPS = 400
KEY = "pw-bench"
ENTRY = toolchain.PROJECT / "dev/promptward_workerd/testing/bench_entry.py"
CHAT = "/v1/chat/completions"
WINDOW = {"type": "sliding", "duration": "1h"}
_PROSE = "The committee met on Tuesday to review the proposal for the new library building. "


def policy(checks: list[dict[str, Any]]) -> str:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    document: dict[str, Any] = {
        "apiVersion": "promptward/v1",
        "kind": "AISecurityPolicy",
        "metadata": {"name": "bench", "version": 1},
        "spec": {
            "identity": {"api_keys": {"keys": [{"id": "bench", "sha256": digest}]}},
            "authorization": {
                "default": "deny",
                "rules": [{"id": "all", "effect": "allow", "models": ["gpt-*"]}],
            },
            "budgets": [
                {"id": "tokens", "unit": "total_tokens", "limit": 10**12, "window": WINDOW},
                {"id": "calls", "unit": "requests", "limit": 10**12, "window": WINDOW},
            ],
            "checks": checks,
            # every request has the same text: read it each time
            "limits": {"remembered_texts": 0},
        },
    }
    for budget in document["spec"]["budgets"]:
        budget["partition_by"] = ["principal"]
    return json.dumps(document)


CHECKS: list[dict[str, Any]] = [
    {"id": "injection", "type": "prompt_injection"},
    {"id": "privacy", "type": "pii", "phase": ["request", "response"], "restore": True},
]


def chat_body(stream: bool = False) -> bytes:
    """A chat request of exactly BODY_BYTES bytes."""
    head: dict[str, Any] = {"model": "gpt-4o-mini", "stream": stream}

    def made(text: str) -> bytes:
        return json.dumps({**head, "messages": [{"role": "user", "content": text}]}).encode()

    text = _PROSE * (BODY_BYTES // len(_PROSE) + 1)
    body = made(text[: -(len(made(text)) - BODY_BYTES)])
    assert len(body) == BODY_BYTES
    return body


class Bench:
    """One running Worker and a connection to it."""

    def __init__(self, workerd: Workerd) -> None:
        self.workerd = workerd
        self._connection = http.client.HTTPConnection(workerd.host, workerd.port, timeout=120)

    def post(self, path: str, body: bytes, script: str = "ok") -> bytes:
        fields = {
            "content-type": "application/json",
            "authorization": f"Bearer {KEY}",
            "x-script": script,
        }
        self._connection.request("POST", path, body, fields)
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return data

    def cpu_ms(self, count: int, work: Callable[[], object]) -> float:
        """CPU milliseconds of the process for each of `count` times `work`."""
        self._connection.close()  # workerd drops idle connections; the next request opens one
        before = self.workerd.cpu_s()
        for _ in range(count):
            work()
        return (self.workerd.cpu_s() - before) * 1000 / count

    def close(self) -> None:
        self._connection.close()


class Stage:
    """Starts Workers of one snapshot in front of one origin."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.tools = toolchain.ensure()
        self.folder, self.origin = folder, origin
        files = vendor.collect(toolchain.PROJECT / "src", self.tools.site, entry=ENTRY)
        self.upload = vendor.upload_bytes(files)
        self.names = tuple(file.name for file in files)
        self.root = folder / "worker"
        vendor.write(files, self.root)
        self.snapshot: Path | None = None

    def _config(self, name: str, text: str) -> Path:
        variables = {"UPSTREAM": self.origin.url, "POLICY_REFRESH_S": "3600"}
        settings = config.WorkerConfig(
            self.root, self.names, self.folder / f"state-{name}", variables
        )
        file = config.write(settings)
        (settings.kv_dir / "policy").write_text(text, "utf-8")
        return file

    def start(self, name: str, text: str, *, from_snapshot: bool = True) -> Workerd:
        file = self._config(name, text)
        if from_snapshot and self.snapshot is None:
            self.snapshot = make_snapshot(self.tools, file, self.folder)
        snapshot = self.snapshot if from_snapshot else None
        return Workerd(self.tools, file, self.folder / f"{name}.log", snapshot=snapshot)


def script_origin(origin: Origin) -> None:
    whole = completion("ok")
    origin.scripts["ok"] = lambda _, wire: wire.whole(200, whole)
    for count in CHUNKS:
        chunks = [event("Some words. ") for _ in range(count)]

        def stream(_: Received, wire: Wire, chunks: list[bytes] = chunks) -> None:
            wire.start(200, {"content-type": "text/event-stream"})
            for chunk in (*chunks, event(finish="stop"), event(usage=30), b"data: [DONE]\n\n"):
                wire.send(chunk)
                threading.Event().wait(0.001)  # so that each is a chunk of its own
            wire.end()

        origin.scripts[f"stream-{count}"] = stream


def cold_start(stage: Stage, text: str) -> dict[str, float]:
    """Wall and CPU seconds until the socket opens, and CPU of the first request, cold and warm."""
    found: dict[str, float] = {}
    for name, from_snapshot in (("cold", False), ("snapshot", True)):
        with stage.start(f"start-{name}", text, from_snapshot=from_snapshot) as started:
            bench = Bench(started)
            found[f"{name}_start_s"] = round(started.start_s, 2)
            found[f"{name}_start_cpu_s"] = round(started.cpu_s(), 2)
            first_ms = bench.cpu_ms(1, partial(bench.post, CHAT, chat_body()))
            found[f"{name}_first_request_cpu_ms"] = round(first_ms)
            found[f"{name}_rss_mb"] = started.rss_bytes() >> 20
            bench.close()
    return found


def streams(bench: Bench, untouched: bool) -> float:
    """CPU milliseconds a chunk: the slope between short and long streams."""
    body = chat_body(stream=True)
    path = "/.bench/stream" if untouched else CHAT
    costs = [bench.cpu_ms(STREAMS, partial(bench.post, path, body, f"stream-{n}")) for n in CHUNKS]
    return (costs[1] - costs[0]) / (CHUNKS[1] - CHUNKS[0])


def measure() -> dict[str, Any]:
    """Run the bench."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-worker-")))
        origin = Origin()
        stack.callback(origin.close)
        script_origin(origin)
        stage = Stage(folder, origin)
        full = Bench(stack.enter_context(stage.start("full", policy(CHECKS))))
        auth = Bench(stack.enter_context(stage.start("auth", policy([]))))
        stack.callback(full.close)
        stack.callback(auth.close)
        measured = requests(full, auth)
        return {
            "requests": measured,
            "aim": aim(measured),
            "streams": {
                "untouched_ms_a_chunk": round(streams(auth, untouched=True), 3),
                "usage_only_ms_a_chunk": round(streams(auth, untouched=False), 3),
                "full_ms_a_chunk": round(streams(full, untouched=False), 3),
            },
            "python_memory_mb": round(int(full.post("/.bench/memory", b"")) / 2**20, 1),
            "rss_mb": full.workerd.rss_bytes() >> 20,
            "start": cold_start(stage, policy(CHECKS)),
            "upload_kib": [round(size / 1024) for size in stage.upload],
        }


def requests(full: Bench, auth: Bench) -> dict[str, dict[str, float]]:
    """CPU milliseconds of each variant and their ratios to the bare Worker."""
    body = chat_body()
    work: dict[str, Callable[[], float]] = {
        "bare": lambda: full.cpu_ms(REQUESTS, lambda: full.post("/.bench/bare", body)),
        "proxy": lambda: full.cpu_ms(REQUESTS, lambda: full.post("/.bench/proxy", body)),
        "auth+budget": lambda: auth.cpu_ms(REQUESTS, lambda: auth.post(CHAT, body)),
        "floor": lambda: full.cpu_ms(REQUESTS, lambda: full.post("/.bench/floor?n=0", body)),
        "floor+core": lambda: full.cpu_ms(REQUESTS, lambda: full.post("/.bench/floor?n=1", body)),
        "full": lambda: full.cpu_ms(REQUESTS, lambda: full.post(CHAT, body)),
        "core": lambda: (
            full.cpu_ms(1, lambda: full.post(f"/.bench/core?n={CORE_LOOPS}", body)) / CORE_LOOPS
        ),
    }
    for bench in (full, auth):
        bench.cpu_ms(WARM_UP, partial(bench.post, CHAT, body))
    for path in ("/.bench/proxy", "/.bench/floor?n=0"):
        full.cpu_ms(WARM_UP // 2, partial(full.post, path, body))
    rounds = [{name: run() for name, run in work.items()} for _ in range(ROUNDS)]
    return {
        name: {
            "cpu_ms": round(statistics.median(r[name] for r in rounds), 2),
            "least_cpu_ms": round(min(r[name] for r in rounds), 2),
            "ratio_to_bare": round(statistics.median(r[name] / r["bare"] for r in rounds), 2),
        }
        for name in work
    }


def aim(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """CPU milliseconds, of the least of every variant: the aim, and what of `full` is ours."""
    least = {name: row["least_cpu_ms"] for name, row in measured.items()}
    return {
        "full_ms": least["full"],
        "bare_and_3_core_ms": round(least["bare"] + 3 * least["core"], 2),
        "full_above_floor_ms": round(least["full"] - least["floor"], 2),
        "3_core_ms": round(3 * least["core"], 2),
    }


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        "| Worker, 2 KB chat body | CPU ms a request | least | × bare |",
        "|---|---:|---:|---:|",
    ]
    for name, row in result["requests"].items():
        lines.append(
            f"| {name} | {row['cpu_ms']} | {row['least_cpu_ms']} | {row['ratio_to_bare']} |"
        )
    lines += ["", "| Worker | |", "|---|---:|"]
    rest = {**result["aim"], **result["streams"], **result["start"]}
    rest |= {name: result[name] for name in ("python_memory_mb", "rss_mb", "upload_kib")}
    lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in rest.items()]
    return "\n".join(lines)
