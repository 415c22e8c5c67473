"""A missing program: skipped on a laptop, a failure in CI."""

from __future__ import annotations

import pytest

from promptward.testing.programs import require_program


def test_a_program_that_is_there_gives_its_path() -> None:
    assert require_program("sh", "").endswith("/sh")


def test_a_missing_program_skips_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install unobtainium"):
        require_program("unobtainium", "apt-get install unobtainium")


def test_a_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install unobtainium"):
        require_program("unobtainium", "apt-get install unobtainium")
