"""`promptward-worker quickstart` as a user runs it, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from promptward_workerd import toolchain
from promptward_workerd.testing.client import ChatClient

pytestmark = pytest.mark.workerd
_END_S = 20.0


def children_of(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text("ascii").split()
    ]


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_guards_a_chat_and_leaves_nothing_behind(
    tools: toolchain.Toolchain, number: signal.Signals, tmp_path: Path
) -> None:
    log = tmp_path / "upstream.jsonl"
    command = [sys.executable, "-m", "promptward_workerd", "quickstart", "--port", "0"]
    with subprocess.Popen(
        [*command, "--upstream-log", str(log)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        ready = json.loads(next(x for x in lines if x.startswith("ready ")).removeprefix("ready "))
        host, _, port = ready["url"].removeprefix("http://").partition(":")
        client = ChatClient(host, int(port), ready["keys"]["full"])
        assert client.chat("Write to jane.roe@example.com").status == 200
        assert "jane.roe" not in log.read_text("utf-8")
        children = children_of(process.pid)
        assert len(children) == 2
        process.send_signal(number)
        assert process.wait(_END_S) == (-number if number is signal.SIGKILL else 0)
    deadline_s = time.monotonic() + _END_S
    while any(map(is_running, children)) and time.monotonic() < deadline_s:
        pass
    assert not any(map(is_running, children))
