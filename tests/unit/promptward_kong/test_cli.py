import json
import subprocess
import sys

import pytest

from promptward.errors import PolicyError
from promptward_kong.app import AppOptions, _refuse_split_budgets
from promptward_kong.cli import main
from promptward_kong.gate import gate_source


@pytest.mark.parametrize("arguments", [["dump"], ["--dump"], ["serve", "--dump"]])
def test_every_spelling_of_the_query_answers(capsys, arguments):
    assert main(arguments) == 0
    (info,) = json.loads(capsys.readouterr().out)
    assert info["Name"] == "promptward"
    assert info["Phases"] == ["access", "log"]
    assert info["Schema"]["fields"][0]["config"]["type"] == "record"


def test_the_query_prints_nothing_else(capsys):
    main(["dump"])
    out = capsys.readouterr()
    assert out.err == ""
    assert out.out.count("\n") == 1


@pytest.mark.parametrize("text", ["0", "56", "60", "nan", "x"])
def test_deadlines_kong_would_not_wait_for_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--deadline", text])


def test_check_lists_what_cannot_be_enforced(tmp_path, capsys):
    path = tmp_path / "p.yaml"
    path.write_text(
        "apiVersion: promptward/v1\nkind: AISecurityPolicy\nmetadata: {name: p}\n"
        "spec:\n  identity: {allow_anonymous: true}\n  authorization: {default: allow}\n"
        "  checks: [{id: p, type: pii, phase: [response]}]\n",
        "utf-8",
    )
    assert main(["check", str(path)]) == 1
    assert "promptward-buffered" in capsys.readouterr().out
    assert main(["check", "--plugin", "promptward-buffered", str(path)]) == 1  # it streams
    assert "streaming.mode" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("option", ["--workers", "--threads", "--max-body", "--max-open"])
@pytest.mark.parametrize("text", ["0", "-1", "two", "²"])
def test_numbers_that_cannot_be_are_refused(option, text, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["serve", f"{option}={text}"])
    assert caught.value.code == 2
    assert "expected a whole number, 1 or more" in capsys.readouterr().err


def test_a_socket_that_cannot_be_made_is_named(tmp_path):
    socket = tmp_path / "missing" / "s"
    command = [
        sys.executable,
        "-c",
        "from promptward_kong.cli import main; raise SystemExit(main())",
    ]
    done = subprocess.run(
        [*command, "serve", "--socket", str(socket)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"promptward-kong: {socket}: No such file or directory"


def test_ready_fails_without_a_server(tmp_path, capsys):
    assert main(["ready", "--socket", str(tmp_path / "none.sock")]) == 1
    assert "not ready" in capsys.readouterr().err


def test_budgets_in_the_memory_of_several_processes_are_refused(tmp_path):
    options = AppOptions(socket=tmp_path / "s", ledger="memory://", workers=2)
    with pytest.raises(PolicyError, match="--workers 1"):
        _refuse_split_budgets(options)
    _refuse_split_budgets(AppOptions(socket=tmp_path / "s", ledger="memory://", workers=1))
    assert AppOptions(socket=tmp_path / "s").ledger_url.startswith("sqlite:///")


def test_the_gate_is_part_of_the_installation():
    assert {path.name for path in gate_source().iterdir()} >= {"handler.lua", "schema.lua"}
