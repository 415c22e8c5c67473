"""Types of command line options: what cannot work is refused before anything starts.

Each takes the text of an option (or of its environment variable) and raises `ArgumentTypeError`
with what was expected.
"""

from __future__ import annotations

import argparse
import math

from promptward_envoy.addresses import split_address

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_MAX_PORT = 65535


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, 1 or more, not {text!r}")
    return int(text)


def zero_or_more(text: str) -> float:
    """Seconds, 0 or more."""
    return _seconds(text, "0 or more")


def above_zero(text: str) -> float:
    """Seconds, more than 0."""
    seconds = _seconds(text, "more than 0")
    if seconds == 0:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, not {text!r}")
    return seconds


def _seconds(text: str, which: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise argparse.ArgumentTypeError(f"expected seconds, {which}, not {text!r}")
    return seconds


def log_level(text: str) -> str:
    """A level of the standard library's logging."""
    if text.lower() not in LOG_LEVELS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(LOG_LEVELS)}, not {text!r}")
    return text.lower()


def port(text: str) -> int:
    """A TCP port; 0 picks one."""
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to {_MAX_PORT}, not {text!r}")
    return int(text)


def listening_address(text: str) -> str:
    """`host:port` or `unix:/path`."""
    return text if text.startswith("unix:") else _host_and_port(text, " or unix:/path")


def address_or_off(text: str) -> str:
    """`host:port` or `off`."""
    return text if text == "off" else _host_and_port(text, " or off")


def _host_and_port(text: str, otherwise: str) -> str:
    try:
        split_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected host:port{otherwise}, not {text!r}") from None
    return text
