"""Transcripts of ext_proc streams: what Envoy sends, what it gets, what is settled."""

from __future__ import annotations

import pytest

from promptward_envoy.admission import Admission
from promptward_envoy.ext_proc_session import ExchangeSession, SessionError
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import SideThread

METRICS = Metrics()
ASIDE = SideThread(Admission(9, METRICS.in_flight), METRICS.large, 0.05)


@pytest.fixture
def session(engine) -> ExchangeSession:
    return ExchangeSession(engine, "", 1000, METRICS, ASIDE)


async def until_response(session, messages, script: str = "", body: bytes = b"{}") -> None:
    await session.handle(messages.request_headers(("x-script", script)))
    await session.handle(messages.request_body(body))


def kinds(answers) -> list[str]:
    return [a.WhichOneof("response") for a in answers]


def run(coroutine) -> None:
    import asyncio

    asyncio.run(coroutine)


def test_headers_wait_for_the_body_then_the_whole_request_is_decided(
    session, engine, messages
) -> None:
    async def transcript() -> None:
        (wait,) = await session.handle(messages.request_headers(("x-script", "redact")))
        assert wait.WhichOneof("response") == "request_headers"
        assert engine.calls() == []
        (go,) = await session.handle(messages.request_body(b"a SECRET"))
        assert go.request_body.response.body_mutation.body == b"a [redacted]"
        assert not session.finished
        assert session.owes_settlement

    run(transcript())


def test_request_without_a_body_is_decided_at_its_headers(session, engine, messages) -> None:
    async def transcript() -> None:
        (go,) = await session.handle(messages.request_headers(method="GET", ended=True))
        assert go.WhichOneof("response") == "request_headers"
        assert engine.named("on_request")[0]["body"] == ""

    run(transcript())


def test_denied_request_is_answered_and_nothing_is_owed(session, messages) -> None:
    async def transcript() -> None:
        await session.handle(messages.request_headers(("x-script", "deny")))
        (denial,) = await session.handle(messages.request_body(b"{}"))
        assert denial.immediate_response.status.code == 403
        assert session.finished
        assert not session.owes_settlement

    run(transcript())


@pytest.mark.parametrize("kind", ["request_body", "response_body", "response_trailers"])
def test_message_out_of_order_is_an_error(session, messages, kind) -> None:
    message = getattr(messages, kind)(*([b""] if "body" in kind else []))
    with pytest.raises(SessionError, match=kind):
        run(session.handle(message))
    assert not session.finished


def test_second_request_headers_are_an_error(session, messages) -> None:
    async def transcript() -> None:
        await session.handle(messages.request_headers())
        with pytest.raises(SessionError):
            await session.handle(messages.request_headers())

    run(transcript())


def test_configuration_that_does_not_hold_bodies_is_an_error(session, engine, messages) -> None:
    with pytest.raises(SessionError, match="processing_mode"):
        run(session.handle(messages.request_headers(request_mode=0)))
    assert engine.calls() == []


def test_reply_of_another_filter_passes_unread(session, engine, messages) -> None:
    async def transcript() -> None:
        (head,) = await session.handle(messages.response_headers(details="ext_authz_denied"))
        assert head.mode_override.response_body_mode == 0
        assert session.finished
        (chunk,) = await session.handle(messages.response_body(b"no", ended=True))
        streamed = chunk.response_body.response.body_mutation.streamed_response
        assert (streamed.body, streamed.end_of_stream) == (b"no", True)
        assert kinds(await session.handle(messages.response_trailers())) == ["response_trailers"]
        assert engine.calls() == []

    run(transcript())


@pytest.mark.parametrize("details", ["via_upstream", ""])
def test_upstreams_answer_to_an_unseen_request_is_an_error(session, messages, details) -> None:
    with pytest.raises(SessionError, match="never inspected"):
        run(session.handle(messages.response_headers(details=details)))
    assert not session.finished


def test_envoys_413_before_the_body_is_whole_passes(session, engine, messages) -> None:
    async def transcript() -> None:
        await session.handle(messages.request_headers())
        reply = messages.response_headers(status=413, details="request_payload_too_large")
        assert kinds(await session.handle(reply)) == ["response_headers"]
        assert session.finished
        assert engine.calls() == []

    run(transcript())


def test_client_gone_before_the_response_is_settled_once(session, engine, messages) -> None:
    async def transcript() -> None:
        await until_response(session, messages)
        await session.abandon()
        await session.abandon()
        assert [c["reason"] for c in engine.named("on_no_response")] == ["client_gone"]

    run(transcript())


def test_nothing_granted_nothing_settled(session, engine, messages) -> None:
    async def transcript() -> None:
        await session.handle(messages.request_headers())
        await session.abandon()
        assert engine.calls() == []

    run(transcript())


def test_failure_can_be_denied_until_the_response_has_begun(session, messages) -> None:
    async def transcript() -> None:
        assert session.fail_closed("why").immediate_response.status.code == 503
        await until_response(session, messages)
        assert session.fail_closed("why") is not None
        event_stream = messages.response_headers(("content-type", "text/event-stream"))
        await session.handle(event_stream)
        assert session.fail_closed("why") is None

    run(transcript())


def test_failure_after_a_denial_has_nothing_to_say(session, messages) -> None:
    async def transcript() -> None:
        await until_response(session, messages, "deny")
        assert session.fail_closed("why") is None

    run(transcript())
