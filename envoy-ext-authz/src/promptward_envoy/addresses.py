"""Addresses to listen on: `host:port` or `unix:/path`, and whether others can reach them."""

from __future__ import annotations

import ipaddress


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`; brackets of an IPv6 address are removed.

    Raises:
        ValueError: it is not of that form.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"expected host:port, not {address!r}")
    return host.strip("[]"), int(port)


def is_local(address: str) -> bool:
    """Whether only this host can connect: a Unix socket or a loopback address."""
    return address.startswith("unix:") or is_loopback(split_address(address)[0])


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address; names other than localhost are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def worker_address(address: str, number: int) -> str:
    """The address of worker `number`: the next port, or a numbered socket."""
    if number == 0:
        return address
    if address.startswith("unix:"):
        return f"{address}.{number}"
    host, _colon, port = address.rpartition(":")
    return f"{host}:{int(port) + number}"
