"""The warm-up at import time."""

from __future__ import annotations

from promptward_worker.warm import warm_up


def test_the_made_up_request_goes_through_every_check() -> None:
    assert warm_up()
