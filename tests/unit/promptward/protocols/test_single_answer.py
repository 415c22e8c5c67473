"""What the protocols with one answer per request share: the route, the cap, the rewritten body."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.protocols.anthropic_messages import AnthropicMessages
from promptward.protocols.openai_responses import OpenAiResponses
from promptward.protocols.single_answer import SingleAnswerProtocol

ANTHROPIC: dict[str, JSON] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
RESPONSES: dict[str, JSON] = {"model": "m", "input": "hi"}
BOTH = pytest.mark.parametrize(
    ("protocol", "document", "route"),
    [
        (AnthropicMessages(), ANTHROPIC, "/v1/messages"),
        (OpenAiResponses(), RESPONSES, "/v1/responses"),
    ],
)


@BOTH
def test_only_a_post_to_the_route_is_taken(
    protocol: SingleAnswerProtocol, document: dict[str, JSON], route: str
) -> None:
    assert protocol.matches("POST", route)
    assert protocol.matches("POST", f"/team/a{route}?beta=true")
    assert not protocol.matches("GET", route)
    for other in (f"{route}/x", f"/..{route}", f"//{route}", f"/%2e{route}"):
        assert not protocol.matches("POST", other)


@BOTH
def test_a_cap_is_set_or_lowered_and_never_raised(
    protocol: SingleAnswerProtocol, document: dict[str, JSON], route: str
) -> None:
    def rewritten(asked: int | None, most: int | None) -> bytes | None:
        body = document if asked is None else {**document, protocol.cap_field: asked}
        return protocol.rewrite_request(protocol.parse_request(body), {}, max_output_tokens=most)

    field = f'"{protocol.cap_field}":5}}'.encode()
    assert rewritten(None, None) is None
    assert rewritten(5, 9) is None
    assert (rewritten(None, 5) or b"").endswith(field)
    assert (rewritten(9, 5) or b"").endswith(field)


@BOTH
def test_a_body_that_is_no_object_is_refused(
    protocol: SingleAnswerProtocol, document: dict[str, JSON], route: str
) -> None:
    with pytest.raises(ExchangeError, match="expected an object"):
        protocol.parse_request([])
