"""The Redis ledger over what operators run: TLS with ACL users, Redis Cluster, Sentinel.

The full contract is tested on one plain server; here each kind of URL must carry a reservation
through, blocking and suspending.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from promptward.errors import PortError
from promptward.ports import ReserveRequest, SettleRequest
from promptward.sync import run_sync
from promptward.testing.ledgers import budget_line
from promptward.testing.programs import require_program
from promptward.testing.redis_server import HINT, RedisServer, free_port
from promptward_ports.ledgers import open_ledger

pytestmark = pytest.mark.redis
TIMEOUT_S = 5
DEADLINE_S = 30


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pw") as path:
        yield Path(path)


async def book_one_request(url: str, *, suspending: bool) -> None:
    ledger = open_ledger(url, timeout_s=TIMEOUT_S, suspending=suspending)
    try:
        lines = (budget_line("user", amount=40), budget_line("team", amount=40))
        request = ReserveRequest(f"r{suspending}", f"tenant{suspending}", lines, 60)
        assert (await ledger.reserve(request)).granted
        amounts = {"user": 15, "team": 15}
        states = await ledger.settle(SettleRequest(request.request_id, request.tenant, amounts))
        assert [state.spent for state in states] == [15, 15]
        rows = [row for row in await ledger.usage() if row.tenant == request.tenant]
        assert [(row.budget, row.spent) for row in rows] == [("team", 15), ("user", 15)]
        assert await ledger.raise_limit(rows[0].bucket, limit=500, for_s=60)
        entries = [e for e in await ledger.entries() if e.tenant == request.tenant]
        assert [(entry.budget, entry.amount) for entry in entries] == [("team", 15), ("user", 15)]
    finally:
        await ledger.close()


Drive = Callable[[Coroutine[Any, Any, None]], None]


DRIVES: dict[str, Drive] = {"blocking": run_sync, "asyncio": asyncio.run, "uvloop": uvloop.run}


@pytest.fixture(params=DRIVES)
def book(request: pytest.FixtureRequest) -> Callable[[str], None]:
    suspending = request.param != "blocking"
    drive = DRIVES[request.param]
    return lambda url: drive(book_one_request(url, suspending=suspending))


def test_tcp(directory: Path, book: Callable[[str], None]) -> None:
    server = RedisServer(directory, tcp=True)
    server.start()
    try:
        book(f"{server.tcp_url}/1")
    finally:
        server.stop()


def test_a_forked_child_opens_its_own_connections(directory: Path) -> None:
    server = RedisServer(directory, tcp=True)
    server.start()
    try:
        ledger = open_ledger(server.tcp_url, timeout_s=TIMEOUT_S)
        line = budget_line(limit=1000, amount=1)
        run_sync(ledger.reserve(ReserveRequest("before", "t", (line,), 60)))
        child = os.fork()
        for number in range(50):
            name = f"{'parent' if child else 'child'}{number}"
            outcome = run_sync(ledger.reserve(ReserveRequest(name, "t", (line,), 60)))
            if not outcome.granted and not child:
                os._exit(1)
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert run_sync(ledger.usage())[0].reserved == 101
        run_sync(ledger.close())
    finally:
        server.stop()


def write_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture
def guarded(directory: Path) -> Iterator[str]:
    """A server that speaks TLS only and knows one user with the least rights; its netloc."""
    write_certificate(directory)
    (directory / "users.acl").write_text(
        "user default on nopass ~* +@all\n"
        "user gate on >p@ss resetkeys ~pw:* resetchannels -@all +evalsha +eval +scan +hscan"
        " +time +zrangebyscore +zadd +zrem +hget +hmget +hset +hdel +pexpire +pttl"
        " +client +hello +auth\n"
    )
    port = free_port()
    server = RedisServer(
        directory,
        options=(
            *("--tls-port", str(port), "--aclfile", str(directory / "users.acl")),
            *("--tls-cert-file", str(directory / "cert.pem")),
            *("--tls-key-file", str(directory / "key.pem"), "--tls-auth-clients", "no"),
            *("--tls-ca-cert-file", str(directory / "cert.pem")),
        ),
    )
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop()


def test_tls_with_a_user_of_few_rights(
    guarded: str, directory: Path, book: Callable[[str], None]
) -> None:
    book(f"rediss://gate:p%40ss@{guarded}?ssl_ca_certs={directory}/cert.pem")


def test_a_certificate_nobody_vouches_for_is_refused(
    guarded: str, book: Callable[[str], None]
) -> None:
    with pytest.raises(PortError):
        book(f"rediss://gate:p%40ss@{guarded}")


def test_a_wrong_password_is_a_port_error(
    guarded: str, directory: Path, book: Callable[[str], None]
) -> None:
    with pytest.raises(PortError) as caught:
        book(f"rediss://gate:wrong@{guarded}?ssl_ca_certs={directory}/cert.pem")
    assert "wrong" not in str(caught.value)


def test_cluster(directory: Path, book: Callable[[str], None]) -> None:
    options = ("--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
    server = RedisServer(directory, tcp=True, options=options)
    server.start()
    try:
        with redis.Redis(port=server.port) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        book(f"redis+cluster://127.0.0.1:{server.port}")
    finally:
        server.stop()


def test_sentinel(directory: Path, book: Callable[[str], None]) -> None:
    program = require_program("redis-server", HINT)
    server = RedisServer(directory, tcp=True)
    server.start()
    port = free_port()
    config = directory / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\nsentinel monitor main 127.0.0.1 {server.port} 1\n"
    )
    with (directory / "sentinel.log").open("wb") as log:
        sentinel = subprocess.Popen([program, str(config), "--sentinel"], stdout=log)
    try:
        wait_until(lambda: knows_master(port))
        book(f"redis+sentinel://127.0.0.1:{port}/main/1")
    finally:
        sentinel.terminate()
        sentinel.wait()
        server.stop()


def knows_master(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            return bool(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"))
    except redis.RedisError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
