"""Options, their environment equivalents, and errors people can act on."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from promptward_envoy import cli


def test_admin_address() -> None:
    assert cli.parse_admin("off") is None
    assert cli.parse_admin("127.0.0.1:0") == ("127.0.0.1", 0)
    assert cli.parse_admin("[::1]:9900") == ("::1", 9900)
    for wrong in ("9900", "host:", "host:x", ""):
        with pytest.raises(ValueError, match="expected host:port"):
            cli.parse_admin(wrong)


def parsed(*arguments: str):
    return cli._parser().parse_args(["serve", *arguments])


def test_environment_gives_defaults_and_the_command_line_wins(monkeypatch) -> None:
    monkeypatch.setenv("PROMPTWARD_MAX_IN_FLIGHT", "7")
    monkeypatch.setenv("PROMPTWARD_LISTEN", "unix:/run/x")
    options = parsed("--listen", "127.0.0.1:1")
    assert (options.max_in_flight, options.listen) == (7, "127.0.0.1:1")


def test_token_comes_from_a_file_or_the_environment_never_from_the_command_line(
    monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("PROMPTWARD_ADMIN_TOKEN", "from-env")
    assert cli._token(parsed()) == "from-env"
    (tmp_path / "token").write_text("from-file\n")
    assert cli._token(parsed("--admin-token-file", str(tmp_path / "token"))) == "from-file"
    with pytest.raises(SystemExit):
        parsed("--admin-token", "secret")


def test_workers_get_every_setting_but_the_admin_port() -> None:
    options = parsed("--policy", "a", "--policy", "b", "--deadline", "2", "--listen", "h:10")
    options.ledger = "sqlite:///x"
    arguments = cli._worker_arguments(options, 3)
    worker = parsed(*arguments)
    assert [str(p) for p in worker.policy] == ["a", "b"]
    assert (worker.listen, worker.admin, worker.workers) == ("h:13", "off", 1)
    assert (worker.deadline, worker.ledger) == (2.0, "sqlite:///x")


def test_tls_files_come_in_pairs_and_reach_the_workers(tmp_path) -> None:
    options = parsed("--tls-cert", "c", "--tls-key", "k", "--tls-client-ca", "a", "--policy", "p")
    tls = cli._tls(options)
    assert tls is not None
    assert [str(p) for p in (tls.cert, tls.key, tls.client_ca)] == ["c", "k", "a"]
    assert cli._tls(parsed(*cli._worker_arguments(options, 1))) == tls
    assert cli._tls(parsed()) is None
    for half in (["--tls-cert", "c"], ["--tls-key", "k"], ["--tls-client-ca", "a"]):
        with pytest.raises(ValueError, match="belong together"):
            cli._tls(parsed(*half))


def test_prompts_in_the_clear_on_a_network_are_warned_about(caplog, tmp_path) -> None:
    missing = str(tmp_path / "no.yaml")
    arguments = ["serve", "--policy", missing, "--ledger", "memory://", "--listen"]
    assert cli.main([*arguments, "0.0.0.0:0"]) == 2
    assert "in the clear" in caplog.text
    caplog.clear()
    assert cli.main([*arguments, "127.0.0.1:0"]) == 2
    assert "in the clear" not in caplog.text


def test_without_a_policy_nothing_is_served(monkeypatch, capsys) -> None:
    monkeypatch.delenv("PROMPTWARD_POLICY", raising=False)
    assert cli.main(["serve"]) == 2
    assert "no policy" in capsys.readouterr().err


def test_missing_policy_file_is_said_plainly(monkeypatch, capsys, tmp_path) -> None:
    missing = str(tmp_path / "no.yaml")
    assert cli.main(["serve", "--policy", missing, "--ledger", "memory://"]) == 2
    assert capsys.readouterr().err == f"promptward-envoy: {missing}: No such file or directory\n"


@pytest.mark.parametrize(
    ("variable", "value"), [("WORKERS", "two"), ("DEADLINE", "-1"), ("LOG_LEVEL", "loud")]
)
def test_a_variable_that_cannot_be_read_is_wrong_usage(
    monkeypatch, capsys, variable, value
) -> None:
    monkeypatch.setenv(f"PROMPTWARD_{variable}", value)
    with pytest.raises(SystemExit) as caught:
        cli.main(["serve", "--policy", "p"])
    assert caught.value.code == 2
    option = variable.lower().replace("_", "-")
    assert f"argument --{option}: expected" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(capsys, tmp_path) -> None:
    log = tmp_path / "missing" / "log"
    assert cli.main(["quickstart", "--port", "0", "--upstream-log", str(log)]) == 1
    assert capsys.readouterr().err == f"promptward-envoy: {log}: No such file or directory\n"


def test_the_version_is_the_distributions(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == f"promptward-envoy {version('promptward-envoy')}"


def test_unknown_ledger_is_said_plainly(capsys, tmp_path) -> None:
    assert cli.main(["serve", "--policy", "x", "--ledger", "ftp://x"]) == 2
    assert "ftp" in capsys.readouterr().err


def test_the_ledger_port_is_off_and_never_a_workers(monkeypatch, tmp_path) -> None:
    assert cli.parse_admin(parsed().ledger_listen) is None
    monkeypatch.setenv("PROMPTWARD_LEDGER_LISTEN", "127.0.0.1:9920")
    monkeypatch.setenv("PROMPTWARD_LEDGER_TOKEN", "from-env")
    options = parsed("--policy", "p")
    assert cli.parse_admin(options.ledger_listen) == ("127.0.0.1", 9920)
    assert cli._ledger_token(options) == "from-env"
    assert parsed(*cli._worker_arguments(options, 0)).ledger_listen == "off"
    (tmp_path / "token").write_text("from-file\n")
    options = parsed("--ledger-token-file", str(tmp_path / "token"))
    assert cli._ledger_token(options) == "from-file"
