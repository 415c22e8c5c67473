"""`promptward budgets` and `promptward usage` as operators and finance use them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from promptward.audit import ENCODERS
from promptward.cli import main
from promptward.exchange import Body, Headers, Response
from promptward.ports import BudgetLine, ReserveRequest, SettleRequest, Window
from promptward.sync import run_sync
from promptward.testing.fakes import TestBench, chat_exchange, policy_with
from promptward_ports.ledgers import open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    url = f"sqlite://{tmp_path}/ledger.db"
    opened = open_ledger(url, timeout_s=5)
    line = BudgetLine("daily", "principal=ann", "total_tokens", 100, 40, Window("fixed", 86400))
    assert run_sync(opened.reserve(ReserveRequest("r1", "", (line,), 60))).granted
    run_sync(opened.settle(SettleRequest("r1", "", {"daily": 30})))
    run_sync(opened.close())
    return url


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out = capsys.readouterr()
    return code, out.out, out.err


def rows(capsys: pytest.CaptureFixture[str], ledger: str) -> list[dict[str, Any]]:
    code, out, _ = run(capsys, "budgets", "--ledger", ledger, "list", "--format", "json")
    assert code == 0
    listed: list[dict[str, Any]] = json.loads(out)
    return listed


def test_a_ledger_that_is_not_there_is_not_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = run(capsys, "budgets", "--ledger", f"sqlite://{tmp_path}/typo.db", "list")
    assert (code, err) == (2, f"promptward: {tmp_path}/typo.db: no such ledger\n")
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_be_percent_encoded(
    capsys: pytest.CaptureFixture[str], ledger: str, tmp_path: Path
) -> None:
    (tmp_path / "ledger.db").rename(tmp_path / "a ledger.db")
    assert len(rows(capsys, ledger.replace("ledger.db", "a%20ledger.db?synchronous=FULL"))) == 1


def test_list(capsys: pytest.CaptureFixture[str], ledger: str) -> None:
    (row,) = rows(capsys, ledger)
    assert (row["budget"], row["partition"], row["spent"], row["limit"]) == (
        "daily",
        "principal=ann",
        30,
        100,
    )
    _, table, _ = run(capsys, "budgets", "--ledger", ledger, "list")
    assert table.splitlines()[0].split() == [
        *("bucket", "budget", "partition", "unit", "limit", "spent", "reserved", "reset_s")
    ]
    assert "principal=ann" in table
    _, csv_text, _ = run(capsys, "budgets", "--ledger", ledger, "list", "--format", "csv")
    assert csv_text.count("\n") == 2
    _, none, _ = run(capsys, "budgets", "--ledger", ledger, "list", "--containing", "bob")
    assert none.count("\n") == 1


def test_raise_and_reset(capsys: pytest.CaptureFixture[str], ledger: str) -> None:
    bucket = rows(capsys, ledger)[0]["bucket"]
    base = ("budgets", "--ledger", ledger)
    assert run(capsys, *base, "raise", bucket, "--limit", "500", "--for", "2h")[0] == 0
    assert rows(capsys, ledger)[0]["limit"] == 500
    assert run(capsys, *base, "reset", bucket)[0] == 0
    assert not [r for r in rows(capsys, ledger) if r["spent"]]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("reset", "nope"), 1, "no bucket 'nope'"),
        (("raise", "nope", "--limit", "1", "--for", "1h"), 1, "no bucket 'nope'"),
        (("raise", "nope", "--limit", "1", "--for", "soon"), 2, "--for like 90s"),
    ],
)
def test_what_cannot_be_done(
    capsys: pytest.CaptureFixture[str],
    ledger: str,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    actual, _, err = run(capsys, "budgets", "--ledger", ledger, *arguments)
    assert actual == code
    assert message in err


def test_a_ledger_that_cannot_be_opened(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "budgets", "--ledger", "ftp://x", "list")
    assert code == 2
    assert "unknown scheme" in err


@pytest.mark.parametrize("audit_format", sorted(ENCODERS))
def test_usage_from_an_audit_log(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, audit_format: str
) -> None:
    bench = TestBench(policy_with(audit={"format": audit_format, "claims": ["team"]}))
    for _ in range(2):
        decision = run_sync(bench.engine.on_request(chat_exchange()))
        run_sync(bench.engine.on_unseen_response(decision.ticket, 200))  # type: ignore[union-attr]
    log = tmp_path / "audit.jsonl"
    log.write_text("".join(json.dumps(e) + "\n" for e in bench.audit.events))
    code, out, _ = run(capsys, "usage", "--by", "day,principal,model,claim.team", str(log))
    assert code == 0
    assert out.splitlines() == [
        "day,principal,model,claim.team,exchanges,input_tokens,output_tokens,cached_input_tokens,reasoning_tokens,cost_usd",
        "2027-01-15,ann,gpt-4o-mini,red,2,0,0,0,0,0.000000000",
    ]


def test_usage_adds_up_what_it_cost_and_at_which_prices(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bench = TestBench(policy_with(price_table="2026-11-23"))
    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
    answer = {"object": "chat.completion", "choices": [], "usage": usage}
    response = Response(
        200,
        Headers([("content-type", "application/json")]),
        Body(json.dumps(answer).encode()),
    )
    for _ in range(2):
        decision = run_sync(bench.engine.on_request(chat_exchange()))
        run_sync(bench.engine.on_response(decision.ticket, response))  # type: ignore[union-attr]
    log = tmp_path / "audit.jsonl"
    log.write_text("".join(json.dumps(e) + "\n" for e in bench.audit.events))
    code, out, _ = run(capsys, "usage", "--by", "prices,model", "--format", "json", str(log))
    assert code == 0
    (row,) = json.loads(out)
    assert row == {
        "prices": "2026-11-23",
        "model": "gpt-4o-mini",
        "exchanges": 2,
        "input_tokens": 2000,
        "output_tokens": 2000,
        "cached_input_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": "0.001500000",
    }


def test_usage_reports_lines_that_are_no_events(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('nope\n{"schema": "other"}\n[]\n'))
    code, out, err = run(capsys, "usage", "--format", "json", "-")
    assert code == 2
    assert json.loads(out) == []
    assert err.count("not an audit event") == 3


def test_usage_knows_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "usage", "--by", "nope", "-")
    assert code == 2
    assert "unknown nope" in err
