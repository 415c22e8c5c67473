"""The system clock."""

from __future__ import annotations

import time

from promptward_ports.clock import SystemClock


def test_it_is_unix_time_in_seconds() -> None:
    before = time.time()
    now_s = SystemClock().now_s()
    assert before <= now_s <= time.time()
