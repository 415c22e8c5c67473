"""The Check service: every fault of ours is a finished denial."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from promptward_envoy.admission import Admission
from promptward_envoy.engines import FixedEngine
from promptward_envoy.ext_authz import Authorizer
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import SideThread


def check(engine: Any, message: Any, *, bound: int = 9, alone: bool = True) -> Any:
    """The answer of a fresh service; afterwards nothing may be in flight."""
    metrics = Metrics()
    admission = Admission(bound, metrics.in_flight)
    source = FixedEngine(engine, ext_authz_alone=alone)
    aside = SideThread(admission, metrics.large, 0.05)
    service = Authorizer(source, admission, metrics, 0.05, aside)
    answer = asyncio.run(service.check(message, None))  # type: ignore[arg-type]
    assert metrics.in_flight._value.get() == 0
    return answer


def request(messages, script: str = "", body: bytes = b"{}", **extensions: str) -> Any:
    whole = (("x-envoy-auth-partial-body", "false"), ("content-length", str(len(body))))
    message = messages.check(*whole, ("x-script", script), body=body)
    for name, value in extensions.items():
        message.attributes.context_extensions[f"promptward.{name}"] = value
    return message


def code(answer: Any) -> str:
    return str(answer.dynamic_metadata.fields["promptward_code"].string_value)


def test_allowed_and_settled_because_no_response_will_be_seen(engine, messages) -> None:
    answer = check(engine, request(messages))
    assert answer.HasField("ok_response")
    assert not engine.named("on_request")[0]["sees_response"]
    assert len(engine.named("on_unseen_response")) == 1


def test_ext_proc_behind_settles_and_makes_every_change(engine, messages) -> None:
    """It decides again and needs the caller's credential, so ext_authz may not remove it."""
    message = request(messages, "redact", b"SECRET", then="ext_proc")
    message.attributes.request.http.header_map.headers.add(key="authorization", raw_value=b"x")
    answer = check(engine, message, alone=False)
    assert answer.HasField("ok_response")
    assert len(answer.ok_response.headers) == 0
    assert len(answer.ok_response.headers_to_remove) == 0
    assert len(answer.ok_response.response_headers_to_add) == 0
    assert answer.dynamic_metadata.fields["promptward_request_id"].string_value
    assert engine.named("on_request")[0]["sees_response"]
    assert engine.named("on_unseen_response") == []


def test_denied(engine, messages) -> None:
    answer = check(engine, request(messages, "deny"))
    assert (answer.denied_response.status.code, code(answer)) == (403, "scripted")


@pytest.mark.parametrize(
    ("script", "reason"), [("raise", "internal_error"), ("hang", "deadline_exceeded")]
)
def test_faults_are_denied(engine, messages, script, reason) -> None:
    answer = check(engine, request(messages, script))
    assert (answer.denied_response.status.code, code(answer)) == (503, reason)


def test_over_the_bound_is_denied(engine, messages) -> None:
    assert code(check(engine, request(messages), bound=0)) == "overloaded"
    assert engine.named("on_request") == []


def test_unknown_policy_is_denied(engine, messages) -> None:
    assert code(check(engine, request(messages, policy="nobody"))) == "unknown_policy"
    assert engine.named("on_request") == []


def test_policy_that_needs_ext_proc_is_denied_before_anything_is_reserved(engine, messages) -> None:
    assert code(check(engine, request(messages), alone=False)) == "needs_ext_proc"
    assert engine.named("on_request") == []


def test_body_that_must_change_is_denied_and_released(engine, messages) -> None:
    assert code(check(engine, request(messages, "redact", b"SECRET"))) == "needs_ext_proc"
    assert engine.named("on_no_response")[0]["reason"] == "needs_ext_proc"


def test_route_name_comes_from_the_route(engine, messages) -> None:
    check(engine, request(messages, route="chat"))
    assert engine.named("on_request")[0]["route"] == "chat"
