"""Header changes on the way up and down."""

from __future__ import annotations

from promptward.engine.headers import identity_encoding, request_removals, response_removals
from promptward.exchange import Headers


def test_requests_lose_credentials_and_the_digests_of_a_changed_body() -> None:
    none = Headers()
    assert request_removals(("authorization", "x-a-*", "authorization"), none, False) == (
        "authorization",
        "x-a-*",
    )
    assert "content-digest" in request_removals((), none, True)
    assert "content-encoding" in request_removals((), none, True)


def test_another_spelling_of_an_identity_header_is_removed_too() -> None:
    headers = Headers([("X_Consumer_Id", "1"), ("x-api_key", "2"), ("x_other", "3"), ("x-a", "4")])
    removed = request_removals(("x-consumer-*", "x-api-key"), headers, False)
    assert removed == ("x-consumer-*", "x-api-key", "x_consumer_id", "x-api_key")
    assert request_removals((), headers, False) == ()


def test_responses_lose_what_described_the_old_body() -> None:
    headers = Headers([("etag", "x"), ("content-encoding", "gzip"), ("server", "s")])
    assert response_removals(headers, False) == ()
    assert set(response_removals(headers, True)) == {"etag", "content-encoding"}


def test_answers_are_asked_for_unencoded_only_when_they_are_read() -> None:
    assert identity_encoding(True) == (("accept-encoding", "identity"),)
    assert identity_encoding(False) == ()
