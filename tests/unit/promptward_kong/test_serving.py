import importlib
from pathlib import Path

import pytest

from promptward_kong.app import AppOptions
from promptward_kong.serving import _imported_late


@pytest.mark.parametrize(
    ("ledger", "redis"), [("", False), ("redis://h/0", True), ("unix:///s", True)]
)
def test_what_workers_would_import_late_exists(ledger, redis):
    names = _imported_late(AppOptions(Path("/tmp/s.sock"), ledger=ledger))
    assert any("redis" in name for name in names) is redis
    for name in names:
        importlib.import_module(name)
