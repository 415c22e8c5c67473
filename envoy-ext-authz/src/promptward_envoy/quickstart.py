"""`promptward-envoy quickstart`: upstream, service and Envoy in the foreground, in one command.

Prints what to try and then, when requests can be sent, one line `ready {JSON}` for scripts. Ctrl-C,
SIGTERM or the end of any part stops all of it; the kernel stops the rest if this process is killed
(`child_process`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import FrameType

from promptward.cli.demo import MODEL, keys_in
from promptward.exchange import JSON
from promptward_envoy import child_process
from promptward_envoy.bootstrap import Bootstrap
from promptward_envoy.demo.greeting import greeting
from promptward_envoy.envoy_binary import cache_directory, find_envoy, install_envoy
from promptward_envoy.envoy_process import start_envoy, wait_until_live
from promptward_envoy.option_types import port
from promptward_envoy.policies import load_file

_HOST = "127.0.0.1"
_UPSTREAM_KEY = "UPSTREAM_API_KEY"
_PORT = 10000  # the port of Envoy's own examples
_START_S = 30.0
_STOP_S = 5.0


def add_quickstart_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "quickstart",
        help="run a real Envoy with a demo upstream and a demo policy",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port",
        type=port,
        metavar="PORT",
        help=f"port of Envoy, 0 picks one (default: {_PORT}, or a free one)",
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="(default: the demo policy)")
    parser.add_argument("--ledger", metavar="URL", help="(default: SQLite in a new directory)")
    parser.add_argument(
        "--upstream",
        metavar="URL",
        help="a real LLM API, for example https://api.openai.com; its key is taken from the"
        f" environment variable {_UPSTREAM_KEY}",
    )
    parser.add_argument(
        "--upstream-log",
        type=Path,
        metavar="FILE",
        help="the bodies that reached the upstream, one JSON a line",
    )
    parser.set_defaults(run=run, log_level="warning")


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where everything of one run is."""

    directory: Path
    port: int
    policy: Path
    ledger: str
    upstream: str
    upstream_log: Path | None

    @property
    def service_socket(self) -> str:
        return f"unix:{self.directory}/service.sock"

    @property
    def status_file(self) -> Path:
        return self.directory / "status.json"


class _Stopped(Exception):  # noqa: N818 - not a failure
    """A signal asked us to stop."""


def run(options: argparse.Namespace) -> int:
    """Run until stopped; the exit code.

    Raises:
        PolicyError: the policy cannot be enforced.
        EnvoyNotFoundError: there is no Envoy and it cannot be installed.
        EnvoyFailedError: Envoy does not start.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _raise_stopped)
    directory = Path(tempfile.mkdtemp(prefix="promptward-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        binary = find_envoy(os.environ, Path.cwd())
        if binary is None:
            binary = install_envoy(cache_directory(os.environ), _say)
        plan = _plan(options, directory)
        keys = keys_in(load_file(plan.policy))
        plan = _start_all(plan, binary, processes)
        _greet(plan, keys)
        return _watch(processes, directory)
    except _Stopped:
        return 0
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        child_process.stop(processes, _STOP_S)
        shutil.rmtree(directory, ignore_errors=True)


def _plan(options: argparse.Namespace, directory: Path) -> _Plan:
    policy = options.policy
    if policy is None:
        policy = directory / "demo_policy.yaml"
        source = resources.files("promptward_envoy").joinpath("data/demo_policy.yaml")
        policy.write_bytes(source.read_bytes())
    if options.upstream_log:
        options.upstream_log.open("ab").close()  # fails here, with a message, and not in a child
    log = options.upstream_log or (None if options.upstream else directory / "upstream.jsonl")
    return _Plan(
        directory=directory,
        port=_choose_port(options.port),
        policy=policy,
        ledger=options.ledger or f"sqlite://{directory}/ledger.db",
        upstream=options.upstream or "",
        upstream_log=log,
    )


def _choose_port(wanted: int | None) -> int:
    """The port asked for if it is free; without a wish the default or any free one.

    Raises:
        ValueError: the port asked for is taken.
    """
    for candidate in (_PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ValueError(f"port {wanted} is taken; choose another with --port")


def _start_all(plan: _Plan, binary: Path, processes: list[subprocess.Popen[bytes]]) -> _Plan:
    """Start every part in order, each when the one before it answers."""
    if plan.upstream_log is not None:
        plan = _start_upstream(plan, processes)
    _start_service(plan, processes)
    admin_socket = str(plan.directory / "envoy.sock")
    settings = Bootstrap(
        (_HOST, plan.port),
        [plan.service_socket],
        plan.upstream,
        admin_socket,
        upstream_key_variable=_UPSTREAM_KEY if os.environ.get(_UPSTREAM_KEY) else "",
    )
    envoy = start_envoy(binary, plan.directory, settings, concurrency=os.cpu_count() or 1)
    processes.append(envoy)
    wait_until_live(envoy, plan.directory, admin_socket, _START_S)
    return plan


def _start_upstream(plan: _Plan, processes: list[subprocess.Popen[bytes]]) -> _Plan:
    """The demo upstream, or a relay that logs what goes to the real one."""
    module = "promptward_envoy.demo." + ("relay" if plan.upstream else "upstream")
    command = [sys.executable, "-m", module, "--listen", f"{_HOST}:0"]
    command += ["--log", str(plan.upstream_log)]
    command += ["--to", plan.upstream] if plan.upstream else []
    with (plan.directory / "upstream.log").open("ab") as log:
        process = child_process.start(command, stdout=subprocess.PIPE, stderr=log)
    processes.append(process)
    assert process.stdout is not None
    line = process.stdout.readline().split()
    if line[:1] != [b"listening"]:
        raise RuntimeError(f"the upstream did not start: {_tail(plan, 'upstream.log')}")
    return _Plan(
        plan.directory,
        plan.port,
        plan.policy,
        plan.ledger,
        f"http://{_HOST}:{int(line[1])}",
        plan.upstream_log,
    )


def _start_service(plan: _Plan, processes: list[subprocess.Popen[bytes]]) -> None:
    arguments = ["--policy", str(plan.policy), "--listen", plan.service_socket]
    arguments += ["--ledger", plan.ledger, "--audit", str(plan.directory / "audit.jsonl")]
    arguments += ["--admin", f"{_HOST}:0", "--status-file", str(plan.status_file)]
    arguments += ["--drain", "0", "--grace", "2"]  # nobody balances to another endpoint here
    with (plan.directory / "service.log").open("ab") as log:
        process = child_process.start(
            [sys.executable, "-m", "promptward_envoy", "serve", *arguments], stdout=log, stderr=log
        )
    processes.append(process)
    end = time.monotonic() + _START_S
    while not plan.status_file.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the service did not start: {_tail(plan, 'service.log')}")
        time.sleep(0.02)


def _tail(plan: _Plan, name: str) -> str:
    return (plan.directory / name).read_text(errors="replace")[-2000:]


def _greet(plan: _Plan, keys: Mapping[str, str]) -> None:
    status = json.loads(plan.status_file.read_text())
    url = f"http://{_HOST}:{plan.port}"
    admin_url = f"http://{_HOST}:{status['admin_port']}"
    log = str(plan.upstream_log or "")
    _say(greeting(url, admin_url, keys, log, str(plan.directory)))
    ready: dict[str, JSON] = {
        "url": url,
        "admin_url": admin_url,
        "model": MODEL,
        "keys": dict(keys),
        "upstream_log": log,
        "audit_log": str(plan.directory / "audit.jsonl"),
    }
    _say(f"ready {json.dumps(ready)}")


def _watch(processes: list[subprocess.Popen[bytes]], directory: Path) -> int:
    """Wait for a signal; 1 when a part ends by itself."""
    pause = threading.Event()
    while all(process.poll() is None for process in processes):
        pause.wait(0.1)
    logs = ", ".join(str(p) for p in sorted(directory.glob("*.log")))
    ended = [
        f"process {p.pid} ended with {p.returncode}" for p in processes if p.poll() is not None
    ]
    for log in sorted(directory.glob("*.log")):
        sys.stderr.write(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}\n")
    sys.stderr.write(f"promptward-envoy: {'; '.join(ended)} ({logs})\n")
    return 1


def _say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _raise_stopped(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped
