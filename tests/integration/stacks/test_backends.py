"""A backend that was asked for by name and is absent is an error, never a skip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one test of this folder in a pytest of its own."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rA"]
    return subprocess.run(
        [*command, str(HERE / "test_gateways.py"), "-k", "test_allowed and envoy", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_absent_engine_is_an_error(tmp_path: Path) -> None:
    done = run("--backend", "docker", DOCKER_HOST=f"unix://{tmp_path}/no-engine.sock")
    assert done.returncode == 1
    assert "no engine answers" in done.stdout
    assert "1 error in" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("missing", ["PATH", "PROMPTWARD_ENVOY"])
def test_absent_program_is_an_error(tmp_path: Path, missing: str) -> None:
    done = run("--backend", "native", **{missing: str(tmp_path)})
    assert done.returncode == 1
    assert "1 error in" in done.stdout
    assert "skipped" not in done.stdout


def test_auto_without_engine_is_native(tmp_path: Path) -> None:
    done = run("--collect-only", "-q", IT_BACKEND="auto", DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert done.returncode == 0
    assert "test_allowed[envoy-native]" in done.stdout


def test_unknown_backend_is_an_error() -> None:
    done = run("--collect-only", IT_BACKEND="dcoker")
    assert done.returncode != 0
    assert "expected docker, native or auto" in done.stdout + done.stderr
