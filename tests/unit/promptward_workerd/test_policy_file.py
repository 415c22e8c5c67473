"""A policy that a Worker cannot enforce stops the build, not the deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptward_workerd import cli, policy_file, toolchain

POLICY = toolchain.PROJECT / "policy.yaml"


def built(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of `build`, which may not get so far as to install anything."""

    def installed() -> Path:
        raise AssertionError("the policy is read first")

    monkeypatch.setattr(toolchain, "ensure_site", installed)
    policy = tmp_path / "policy.yaml"
    policy.write_text(text, "utf-8")
    return cli.main(["build", "--policy", str(policy), "--out", str(tmp_path / "out")])


def test_exact_token_counts_stop_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = POLICY.read_text("utf-8").replace("spec:\n", "spec:\n  token_counting: exact\n", 1)
    assert built(tmp_path, text, monkeypatch) == 2
    assert "a Worker has no tokenizer" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_misspelt_policy_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = POLICY.read_text("utf-8").replace("identity:", "identiy:", 1)
    assert built(tmp_path, text, monkeypatch) == 2
    assert "identity" in capsys.readouterr().err


def test_the_policy_that_is_shipped_is_enforced_by_a_worker() -> None:
    text, policy = policy_file.read_policy(POLICY)
    assert text == POLICY.read_text("utf-8")
    assert policy.model.metadata.name == "demo-worker"
