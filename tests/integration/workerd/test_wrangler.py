"""Cloudflare's own tool accepts the project: the upload is small, and `wrangler dev` serves it."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promptward_workerd import toolchain, vendor
from promptward_workerd.testing.client import ChatClient
from promptward_workerd.testing.scripted_origin import Origin
from promptward_workerd.wrangler import (
    Wrangler,
    ensure_wrangler,
    read_settings,
    write_offline_project,
)

pytestmark = [pytest.mark.workerd, pytest.mark.slow]
DEADLINE_S = 90.0
FULL_KEY = "pw-demo-full-5b1f0c7e"


@pytest.fixture(scope="module")
def wrangler(tools: toolchain.Toolchain) -> Wrangler:
    """Wrangler at its pinned version."""
    return ensure_wrangler(tools)


def project(path: Path, changes: dict[str, object]) -> Path:
    command = f"{sys.executable} -m promptward_workerd build --policy policy.yaml --out ."
    write_offline_project(toolchain.PROJECT, path, {"build": {"command": command}, **changes})
    return path


def test_the_upload_is_within_its_budget(wrangler: Wrangler, tmp_path: Path) -> None:
    done = subprocess.run(
        [*wrangler.command, "deploy", "--dry-run"],
        cwd=project(tmp_path, {}),
        env=wrangler.full_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    found = re.search(r"Total Upload: ([\d.]+) KiB / gzip: ([\d.]+) KiB", done.stdout)
    assert found is not None, done.stdout[-2000:] + done.stderr[-2000:]
    assert float(found[2]) * 1024 <= vendor.SIZE_BUDGET_BYTES
    site = toolchain.ensure_site()
    policy = toolchain.PROJECT / "policy.yaml"
    ours = vendor.upload_bytes(vendor.collect(toolchain.PROJECT / "src", site, policy))
    assert ours[1] == pytest.approx(float(found[2]) * 1024, rel=0.03)


@pytest.fixture
def dev_port(wrangler: Wrangler, origin: Origin, tmp_path: Path) -> Iterator[int]:
    """`wrangler dev` of the project in front of `origin`; its port."""
    where = project(tmp_path, {"vars": {"UPSTREAM": origin.url}})
    process = subprocess.Popen(
        [*wrangler.command, "dev", "--ip", "127.0.0.1", "--port", "0"],
        cwd=where,
        env=wrangler.full_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        yield _ready_port(process.stdout.fileno(), lambda: process.poll() is None)
    finally:
        process.terminate()
        process.communicate(timeout=20)
        shutil.rmtree(where, ignore_errors=True)


def _ready_port(fd: int, alive: Callable[[], bool]) -> int:
    end = time.monotonic() + DEADLINE_S
    output = b""
    while time.monotonic() < end and alive():
        if select.select([fd], [], [], 1.0)[0]:
            output += os.read(fd, 65536)
        found = re.search(rb"Ready on http://127\.0\.0\.1:(\d+)", output)
        if found is not None:
            return int(found[1])
    raise AssertionError(output.decode("utf-8", "replace")[-3000:])


def test_wrangler_dev_guards_the_origin(dev_port: int, origin: Origin) -> None:
    client = ChatClient("127.0.0.1", dev_port, FULL_KEY)
    answer = client.chat("Write to jane.roe@example.com")
    assert answer.status == 200
    assert answer.text == "You said: Write to jane.roe@example.com"
    assert "jane.roe" not in origin.received[-1].text
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) == 1_000_000 - 12
    assert ChatClient("127.0.0.1", dev_port).chat("hello").status == 401


def test_the_settings_say_what_production_needs() -> None:
    settings = read_settings(toolchain.PROJECT / "wrangler.jsonc")
    assert settings["workers_dev"] is False
    assert settings["compatibility_flags"] == ["python_workers", "enable_request_signal"]
    assert settings["migrations"] == [{"tag": "v1", "new_sqlite_classes": ["BudgetLedgerObject"]}]
