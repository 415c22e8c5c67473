import importlib
import json
import time
from pathlib import Path

import pytest

from promptward.testing.fakes import policy_with
from promptward_kong import serving
from promptward_kong.app import AppOptions
from promptward_kong.jobs import Job
from promptward_kong.plugin import BUFFERED, STREAMING
from promptward_kong.serving import _imported_late


@pytest.mark.parametrize(
    ("ledger", "redis"), [("", False), ("redis://h/0", True), ("unix:///s", True)]
)
def test_what_workers_would_import_late_exists(ledger, redis):
    names = _imported_late(AppOptions(Path("/tmp/s.sock"), ledger=ledger))
    assert any("redis" in name for name in names) is redis
    for name in names:
        importlib.import_module(name)


@pytest.mark.parametrize(("plugin", "gateway"), [(STREAMING, "kong"), (BUFFERED, "kong-buffered")])
def test_a_worker_refuses_trust_in_other_gateways_alone(plugin, gateway, tmp_path, monkeypatch):
    handlers = []
    monkeypatch.setattr(serving, "serve_lanes", lambda _, handle: handlers.append(handle))
    serving._run_worker([], AppOptions(tmp_path / "s.sock", ledger="memory://"))

    def problems(*methods):
        identity = {"gateway": {"methods": methods}}
        config = json.dumps([plugin, {"policy": policy_with(identity=identity)}])
        job = Job("prepare", ".".join(methods), config, time.monotonic() + 60.0, None)
        return handlers[0](job)["problems"]

    assert problems("envoy_jwt_authn") == [
        f"spec.identity.gateway.methods: {gateway} verifies callers as kong_consumer, not as"
        " envoy_jwt_authn; add kong_consumer or leave out spec.identity.gateway"
    ]
    assert problems("envoy_jwt_authn", "kong_consumer") == []
