import json

import pytest

from promptward.protocols import PROTOCOLS
from promptward_kong.refusals import refusal, unavailable


def test_the_body_is_the_one_the_core_writes_for_the_protocol():
    made = unavailable("POST", "/v1/chat/completions?x=1")
    core = PROTOCOLS["openai.chat"].error_body(
        503, "check_failed", "unavailable", "The request could not be checked; try again later."
    )
    assert (made.status, made.body) == (503, core)
    assert made.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(("method", "path"), [("", ""), ("GET", "/"), ("POST", "/elsewhere")])
def test_elsewhere_it_is_neutral(method, path):
    assert json.loads(unavailable(method, path).body)["error"]["code"] == "check_failed"


def test_the_call_is_what_kong_takes():
    made = refusal("POST", "/v1/chat/completions", 431, "c", "parse", "m").call()
    assert made["Method"] == "kong.response.exit"
    status, body, headers = made["Args"]
    assert status == 431
    assert isinstance(body, bytes)
    assert all(isinstance(value, str) for value in headers.values())
