"""IP and MAC addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("server 172.17.77.143 is down", "IP_ADDRESS", "172.17.77.143"),
        ("client_ip=8.8.4.4 status=200", "IP_ADDRESS", "8.8.4.4"),
        ("http://203.0.113.9:8080/x", "IP_ADDRESS", "203.0.113.9"),
        ("range 10.0.8.0/24", "IP_ADDRESS", "10.0.8.0"),
        (
            "ssh root@1492:505d:1d1f:2105:5bce:4122:44f5:b742",
            "IP_ADDRESS",
            "1492:505d:1d1f:2105:5bce:4122:44f5:b742",
        ),
        ("at 2001:db8::8a2e:370:7334.", "IP_ADDRESS", "2001:db8::8a2e:370:7334"),
        ("[2001:db8::1]:443", "IP_ADDRESS", "2001:db8::1"),
        ("fe80::1ff:fe23:4567:890a", "IP_ADDRESS", "fe80::1ff:fe23:4567:890a"),
        ("::ffff:192.0.2.128", "IP_ADDRESS", "::ffff:192.0.2.128"),
        ("mac 00:1B:44:11:3A:B7", "MAC_ADDRESS", "00:1B:44:11:3A:B7"),
        ("3c-22-fb-9a-10-0e", "MAC_ADDRESS", "3c-22-fb-9a-10-0e"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "version 4.24.224.170",
        "firmware 10.2.3.4",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "at 2024-06-13T12:23:00Z",
        "12:30:45",
        "std::vector<int>",
        "a::b",
        "http://127.0.0.1:80 and 0.0.0.0 and mask 255.255.255.0",
        "x :: Int",
        "00:00:00:00:00:00",
        "00:1B-44:11-3A:B7",
        "10:20",
        "::",
        "v10.1.2.3",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
