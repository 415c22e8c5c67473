"""Addresses: their parts, who can reach them, and those of workers."""

from __future__ import annotations

import pytest

from promptward_envoy.addresses import is_local, is_loopback, split_address, worker_address


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9", ("::1", 9)), ("h:65535", ("h", 65535))],
)
def test_parts(address, parts) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["", "9900", "host:", ":9", "host:x", "h:65536", "h:-1"])
def test_anything_else_is_an_error(address) -> None:
    with pytest.raises(ValueError, match="expected host:port"):
        split_address(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback(host) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost.example", ""])
def test_reachable_by_others(host) -> None:
    assert not is_loopback(host)


def test_unix_sockets_are_local() -> None:
    assert is_local("unix:/run/x")
    assert is_local("127.0.0.1:9")
    assert not is_local("0.0.0.0:9")


@pytest.mark.parametrize(
    ("address", "number", "expected"),
    [
        ("127.0.0.1:9910", 0, "127.0.0.1:9910"),
        ("127.0.0.1:9910", 2, "127.0.0.1:9912"),
        ("[::1]:9910", 1, "[::1]:9911"),
        ("unix:/run/pw.sock", 0, "unix:/run/pw.sock"),
        ("unix:/run/pw.sock", 1, "unix:/run/pw.sock.1"),
    ],
)
def test_every_worker_has_an_address_of_its_own(address, number, expected) -> None:
    assert worker_address(address, number) == expected
