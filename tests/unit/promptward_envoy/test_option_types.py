"""Options that cannot work are refused, with what was expected."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from promptward_envoy import option_types as types


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (types.positive, "1", 1),
        (types.zero_or_more, "0", 0.0),
        (types.above_zero, "0.5", 0.5),
        (types.log_level, "INFO", "info"),
        (types.port, "0", 0),
        (types.port, "65535", 65535),
        (types.listening_address, "unix:/run/x", "unix:/run/x"),
        (types.listening_address, "[::1]:9910", "[::1]:9910"),
        (types.address_or_off, "off", "off"),
        (types.address_or_off, "127.0.0.1:0", "127.0.0.1:0"),
    ],
)
def test_what_is_taken(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (types.positive, "0", "expected a whole number, 1 or more, not '0'"),
        (types.positive, "two", "1 or more"),
        (types.positive, "²", "1 or more"),
        (types.zero_or_more, "-1", "expected seconds, 0 or more, not '-1'"),
        (types.zero_or_more, "nan", "0 or more"),
        (types.above_zero, "0", "expected seconds, more than 0"),
        (types.above_zero, "inf", "more than 0"),
        (types.log_level, "loud", "expected one of debug, info"),
        (types.port, "99999", "expected a port from 0 to 65535"),
        (types.port, "-1", "expected a port"),
        (types.listening_address, "nonsense", "expected host:port or unix:/path, not 'nonsense'"),
        (types.listening_address, "off", "expected host:port or unix:/path"),
        (types.address_or_off, "9900", "expected host:port or off"),
    ],
)
def test_what_is_refused(parse: Callable[[str], object], text: str, expected: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        parse(text)
    assert expected in str(caught.value)
