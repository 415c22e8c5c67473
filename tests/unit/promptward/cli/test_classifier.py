"""Commands under a policy that names a classifier: they ask it, or say that it did not answer."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from promptward.cli import main
from promptward.testing.analyzer import AnalyzerServer, answer, word_analyzer
from promptward.testing.fakes import KEY, policy_with

NAMES = {"url": "${ANALYZER_URL}", "entities": [{"type": "PERSON"}], "max_chars": 100}
CHECK: dict[str, Any] = {"id": "p", "type": "pii", "classifier": NAMES}
TEXT = "I am Ann Lee, ann@example.org"


@pytest.fixture
def analyzer(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnalyzerServer]:
    made = word_analyzer({"Ann Lee": "PERSON"})
    monkeypatch.setenv("ANALYZER_URL", made.url)
    yield made
    made.close()


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.json"
    path.write_text(policy_with(checks=[CHECK]))
    return str(path)


def run(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    stdin: str = "",
) -> tuple[int, list[Any], str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    code = main(arguments)
    out, err = capsys.readouterr()
    lines = out.splitlines() if arguments[0] == "scan" else [out] if out else []
    return code, [json.loads(line) for line in lines], err


def test_scan_asks_the_classifier(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    analyzer: AnalyzerServer,
    policy: str,
) -> None:
    line = json.dumps({"id": 1, "text": TEXT})
    code, (found,), _ = run(capsys, monkeypatch, "scan", "--policy", policy, stdin=line)
    assert code == 0
    assert [(m["type"], m["start"], m["end"]) for m in found["pii"]] == [
        ("PERSON", 5, 12),
        ("EMAIL_ADDRESS", 14, 29),
    ]
    assert "unread" not in found


def test_scan_says_what_the_classifier_did_not_read(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    analyzer: AnalyzerServer,
    policy: str,
) -> None:
    analyzer.fault = answer({"error": "boom"}, 500)
    lines = [json.dumps({"text": TEXT}), json.dumps({"text": TEXT + "x" * 100})]
    code, found, _ = run(
        capsys, monkeypatch, "scan", "--policy", policy, stdin="\n".join([*lines, "12"])
    )
    assert code == 2
    assert [row.get("unread") for row in found] == [
        ["classifier_unavailable"],
        ["classifier_limit"],
        None,
    ]
    assert [m["type"] for m in found[0]["pii"]] == ["EMAIL_ADDRESS"]


def test_check_asks_the_classifier(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    analyzer: AnalyzerServer,
    policy: str,
    tmp_path: Path,
) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": TEXT}]}
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    exchange = tmp_path / "exchange.json"
    exchange.write_text(json.dumps({"request": {"headers": headers, "body": body}}))
    command = ("check", "--policy", policy, str(exchange))
    code, (report,), _ = run(capsys, monkeypatch, *command)
    assert code == 0
    assert "I am <PERSON>, <EMAIL_ADDRESS>" in json.dumps(report)
    analyzer.fault = answer({"error": "boom"}, 500)
    code, (report,), _ = run(capsys, monkeypatch, *command)
    assert code == 1
    assert "classifier_unavailable" in json.dumps(report["coverage"])


def test_an_address_that_is_not_set_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.delenv("ANALYZER_URL", raising=False)
    code, _, err = run(capsys, monkeypatch, "scan", "--policy", policy)
    assert code == 2
    assert "the secret ANALYZER_URL is not set" in err


def test_a_library_that_is_not_there_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = {"provider": "presidio_library", "model": "/no/such", "entities": NAMES["entities"]}
    path = tmp_path / "p.json"
    path.write_text(policy_with(checks=[CHECK | {"classifier": own}]))
    code, _, err = run(capsys, monkeypatch, "scan", "--policy", str(path))
    assert code == 2
    assert "presidio_library needs" in err or "is not installed" in err


@pytest.mark.parametrize(
    ("gateway", "refused"),
    [("envoy", False), ("kong", False), ("kong-buffered", False), ("cloudflare", True)],
)
def test_lint_knows_who_can_ask_one(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    analyzer: AnalyzerServer,
    tmp_path: Path,
    gateway: str,
    refused: bool,
) -> None:
    path = tmp_path / "p.json"
    check = CHECK | {"phase": "request", "restore": False}
    path.write_text(policy_with(checks=[check]))
    code = main(("lint", str(path), "--gateway", gateway))
    assert code == int(refused)
    found = "spec.checks[0].classifier: cloudflare cannot ask an external classifier"
    assert (found in capsys.readouterr().out) is refused
