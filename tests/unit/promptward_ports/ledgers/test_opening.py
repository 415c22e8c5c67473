"""Ledger URLs: the accepted forms, and clear errors for the rest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from promptward.errors import PolicyError, PortError
from promptward.sync import run_sync
from promptward_ports.ledgers import open_ledger
from promptward_ports.ledgers.memory import MemoryLedger
from promptward_ports.ledgers.redis_connect import parse_redis_url
from promptward_ports.ledgers.resilient import ResilientLedger
from promptward_ports.ledgers.sqlite import SqliteLedger


def test_memory() -> None:
    assert isinstance(open_ledger("memory://", timeout_s=1), MemoryLedger)


@pytest.mark.parametrize("slashes", ["//", "///"])
def test_sqlite_paths_are_absolute(tmp_path: Path, slashes: str) -> None:
    path = tmp_path / "a b.db"
    url = f"sqlite:{slashes}{str(path).replace(' ', '%20')}?synchronous=full"
    ledger = open_ledger(url, timeout_s=1)
    assert isinstance(ledger, SqliteLedger)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    run_sync(ledger.close())


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://relative.db",
        "sqlite:///",
        "sqlite:///x/",
        "sqlite:///tmp/x.db?mode=ro",
        "sqlite:///tmp/x.db?synchronous=off",
        "postgres://host/db",
        "redis+carrier-pigeon://host",
        "redis://host?nonsense=1",
        "redis://host?prefix=a*b",
        "redis+sentinel://host:26379",
        "redis+sentinel://host:port/service",
        "",
        "ledger.db",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(PolicyError, match=r"^ledger: "):
        open_ledger(url, timeout_s=1)


def test_a_missing_directory_is_a_port_error(tmp_path: Path) -> None:
    with pytest.raises(PortError):
        open_ledger(f"sqlite://{tmp_path}/missing/ledger.db", timeout_s=1)


def test_a_file_that_is_not_a_ledger_is_a_port_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look at its header\n" * 10)
    with pytest.raises(PortError):
        open_ledger(f"sqlite://{path}", timeout_s=1)


@pytest.mark.parametrize("suspending", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/3",
        "rediss://user:secret@127.0.0.1:1?ssl_ca_certs=/etc/ssl/certs/ca-certificates.crt",
        "unix:///run/none.sock?db=2&prefix=gate",
        "redis+sentinel://u:p@127.0.0.1:1,127.0.0.2/main/2",
    ],
)
def test_redis_is_contacted_on_first_use(url: str, suspending: bool) -> None:
    assert isinstance(open_ledger(url, timeout_s=1, suspending=suspending), ResilientLedger)


def test_sentinel_urls_name_hosts_service_and_database() -> None:
    target = parse_redis_url("rediss+sentinel://ann:p%40ss@one:1,two/main/4?prefix=gate")
    assert target.deployment == "sentinel"
    assert target.sentinels == (("one", 1), ("two", 26_379))
    assert (target.service, target.prefix) == ("main", "gate")
    assert target.options == {"username": "ann", "password": "p@ss", "ssl": True, "db": 4}


def test_cluster_urls_lose_their_database() -> None:
    target = parse_redis_url("redis+cluster://ann:pw@host:7000/")
    assert (target.deployment, target.url) == ("cluster", "redis://ann:pw@host:7000")
