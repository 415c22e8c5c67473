"""The rules of Python Workers: nothing at import time, no threads, nothing shared by requests."""

from __future__ import annotations

import ast
import contextlib
import http.client
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import promptward_worker
from promptward_workerd import config, toolchain, vendor
from promptward_workerd.process import Workerd, make_snapshot
from promptward_workerd.testing.client import ChatClient
from promptward_workerd.testing.scripted_origin import Origin

pytestmark = pytest.mark.workerd
StartWorker = Callable[..., Workerd]
SOURCE = Path(promptward_worker.__file__).parent
POLICY = Path(__file__).parent / "policy.yaml"
# What an isolate may keep between requests, and why it is no request's: caches of policy, keys and
# variables; constants. Everything else at module level must be a constant, function or class.
CACHES = {("worker", "_ISOLATE"), ("worker", "_CLOCK")}


def audited_ids(worker: Workerd) -> set[str]:
    lines = worker.log.read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines if line.startswith('{"event":"audit"')]
    return {event["request_id"] for event in events}


# --- import time ----------------------------------------------------------------------------------


def test_importing_the_worker_needs_no_clock_no_randomness_and_no_network(
    tools: toolchain.Toolchain, tmp_path: Path, origin: Origin
) -> None:
    """workerd makes a snapshot only of imports that do none of it, and serves from it."""
    files = vendor.collect(toolchain.PROJECT / "src", tools.site, POLICY)
    vendor.write(files, tmp_path)
    names = tuple(file.name for file in files)
    variables = {"UPSTREAM": origin.url}
    settings = config.WorkerConfig(tmp_path, names, tmp_path / "state", variables, has_kv=False)
    file = config.write(settings)
    seen = len(origin.received)
    snapshot = make_snapshot(tools, file, tmp_path)
    assert len(origin.received) == seen
    ids = []
    for name in ("one", "two"):
        with Workerd(tools, file, tmp_path / f"{name}.log", snapshot=snapshot) as started:
            chat = ChatClient(started.host, started.port, "pw-test-alice")
            assert chat.chat("hello").status == 200
            ids.append(audited_ids(started))
    # Entropy must not be part of the snapshot, or every isolate would draw the same request ids.
    assert ids[0].isdisjoint(ids[1])


def served_from(
    tools: toolchain.Toolchain, folder: Path, origin: Origin, without: str = ""
) -> Path:
    """The configuration of a Worker with its state below `folder`, `without` one of its files."""
    collected = vendor.collect(toolchain.PROJECT / "src", tools.site, POLICY)
    files = [file for file in collected if file.name != without]
    assert len(collected) - len(files) == bool(without)
    vendor.write(files, folder)
    names = tuple(file.name for file in files)
    variables = {"UPSTREAM": origin.url}
    settings = config.WorkerConfig(folder, names, folder / "state", variables, has_kv=False)
    return config.write(settings)


def test_budgets_survive_a_restart(
    tools: toolchain.Toolchain, tmp_path: Path, origin: Origin
) -> None:
    file = served_from(tools, tmp_path, origin)
    answers = []
    for name in ("before", "after"):
        with Workerd(tools, file, tmp_path / f"{name}.log") as started:
            chat = ChatClient(started.host, started.port, "pw-test-tiny")
            answers.append(chat.chat("hello").status)
    assert answers == [200, 429]


def test_a_settlement_reaches_the_disk_without_another_call(
    tools: toolchain.Toolchain, tmp_path: Path, origin: Origin
) -> None:
    """The object writes it soon after the answer, even when nobody asks it anything again."""
    file = served_from(tools, tmp_path, origin)
    with Workerd(tools, file, tmp_path / "workerd.log") as started:
        chat = ChatClient(started.host, started.port, "pw-test-alice")
        assert chat.chat("hello").status == 200
        states: list[str] = []
        deadline_s = time.monotonic() + 20
        while "settled" not in states and time.monotonic() < deadline_s:
            states = reservation_states(tmp_path / "state" / "objects")
    assert states == ["settled"]


def reservation_states(objects: Path) -> list[str]:
    """What the Durable Objects' files say about reservations."""
    found: list[str] = []
    for file in objects.rglob("*.sqlite"):
        opened = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        # not one of ours, or only just begun
        with contextlib.closing(opened) as database, contextlib.suppress(sqlite3.OperationalError):
            rows = database.execute("SELECT state FROM ledger WHERE kind = 'r'")
            found += [state for (state,) in rows]
    return found


def test_a_worker_without_its_javascript_passes_nothing_on(
    tools: toolchain.Toolchain, tmp_path: Path, origin: Origin
) -> None:
    """As when a deployment lost the rule for it: the runtime answers for the Worker."""
    file = served_from(tools, tmp_path, origin, without="promptward_worker/border.mjs")
    seen = len(origin.received)
    with Workerd(tools, file, tmp_path / "workerd.log") as started:
        chat = ChatClient(started.host, started.port, "pw-test-alice")
        statuses = [chat.chat("hello").status for _ in range(3)]
    assert statuses == [500, 500, 500]
    assert len(origin.received) == seen


# --- no threads, no blocking modules --------------------------------------------------------------


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def sources() -> list[Path]:
    found = sorted(SOURCE.glob("*.py"))
    assert len(found) > 10
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_no_module_of_the_worker_imports_what_a_worker_has_not(path: Path) -> None:
    missing = {"threading", "multiprocessing", "subprocess", "ssl", "socket", "concurrent", "queue"}
    blocking = {"time", "requests", "urllib3", "http"}
    assert not imported(ast.parse(path.read_text("utf-8"))) & (missing | blocking)


def test_the_running_worker_has_one_thread_and_no_host_code(ports_worker: Workerd) -> None:
    connection = http.client.HTTPConnection(ports_worker.host, ports_worker.port, timeout=30)
    connection.request("POST", "/modules", b"")
    seen = json.loads(connection.getresponse().read())
    connection.close()
    modules = set(seen["modules"])
    assert seen["threads"] == 1
    assert "promptward.ledger.book" in modules
    assert not modules & {
        "promptward.cli",
        "promptward.testing",
        "promptward_ports",
        "cryptography",
    }


def test_a_task_begins_at_once_and_one_that_waits_goes_on(ports_worker: Workerd) -> None:
    connection = http.client.HTTPConnection(ports_worker.host, ports_worker.port, timeout=30)
    connection.request("POST", "/tasks", b"")
    steps = json.loads(connection.getresponse().read())
    connection.close()
    assert steps[:4] == ["short", "made", "told", "long begins"]
    assert sorted(steps[4:]) == ["failed", "long ends", "told"]


# --- nothing shared by requests -------------------------------------------------------------------


def mutable_globals(path: Path) -> set[tuple[str, str]]:
    """Module-level names bound to something that is not visibly a constant."""
    constant = (ast.Constant, ast.Tuple, ast.JoinedStr, ast.BinOp, ast.Attribute, ast.Subscript)
    makers = {"frozenset", "TypeVar", "compile", "tuple", "Path", "_Noun", "attrgetter"}
    makers |= {"compact_encoder"}
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        value = node.value
        called = getattr(getattr(value, "func", None), "id", None) or getattr(
            getattr(value, "func", None), "attr", None
        )
        if isinstance(value, constant) or called in makers:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found |= {(path.stem, ast.unparse(target)) for target in targets}
    return found


def test_an_isolate_keeps_caches_only() -> None:
    kept = set().union(*(mutable_globals(path) for path in sources()))
    tables = {(module, name) for module, name in kept if name.isupper() or name == "__all__"}
    lookups = {item for item in tables if item not in CACHES}
    # tables of constants, by name; a new one has to be looked at and added here
    assert lookups <= {
        ("capabilities", "CLOUDFLARE"),
        ("signatures", "_ALGORITHMS"),
        ("warm", "_POLICY"),
    }
    assert kept - lookups <= CACHES


def test_an_isolate_reads_its_variables_once_and_again_when_they_are_others(
    ports_worker: Workerd,
) -> None:
    """Cloudflare may go on using an isolate after a change of variables or secrets alone."""
    connection = http.client.HTTPConnection(ports_worker.host, ports_worker.port, timeout=30)
    connection.request("POST", "/deployed", json.dumps(["one", "one", "two", "two", "one"]))
    seen = json.loads(connection.getresponse().read())
    connection.close()
    assert seen == [["one", False], ["one", True], ["two", False], ["two", True], ["one", False]]


def test_nothing_of_a_request_is_in_the_log(worker: Workerd, origin: Origin) -> None:
    canary = "canary-7f3a@example.com"
    chat = ChatClient(worker.host, worker.port, "pw-test-alice")
    assert chat.chat(f"Write to {canary} about canary-topic").status == 200
    assert chat.send(b'{"canary-topic": "canary-7f3a', headers=chat.fields()).status == 400
    with_stream = chat.stream(f"Write to {canary}")
    with_stream.rest()
    log = worker.log.read_text("utf-8")
    assert "canary" not in log
    assert "pw-test-alice" not in log
    assert "sk-upstream" not in log
