"""Headers, structs and metadata to and from the core's nouns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.decision import PolicyRef, Principal, Ticket
from promptward.exchange import GatewayIdentity, Headers
from promptward_envoy import codec
from promptward_envoy.capabilities import ENVOY, ENVOY_EXT_AUTHZ
from promptward_envoy.descriptors import (
    CheckRequest,
    HeaderMap,
    HeaderValueOption,
    ProcessingResponse,
)


def header_map(*pairs: tuple[str, bytes | str]):
    made = HeaderMap()
    for name, value in pairs:
        field = made.headers.add()
        field.key = name
        if isinstance(value, bytes):
            field.raw_value = value
        else:
            field.value = value
    return made


def test_header_pairs_keep_order_repetition_and_octets() -> None:
    pairs = codec.header_pairs(header_map((":path", "/x"), ("X-A", b"\xff\x00"), ("x-a", "2")))
    assert pairs == [(":path", "/x"), ("x-a", "\xff\x00"), ("x-a", "2")]


@given(st.binary(max_size=40))
def test_header_octets_survive_both_ways(value: bytes) -> None:
    ((_, text),) = codec.header_pairs(header_map(("x", value)))
    options = ProcessingResponse().request_headers.response.header_mutation.set_headers
    codec.add_header_options(options, (("x", text),))
    assert options[0].header.raw_value == value


def test_regular_headers_have_no_pseudo_headers_and_no_partial_marker() -> None:
    pairs = [(":method", "POST"), ("x-envoy-auth-partial-body", "false"), ("a", "1")]
    assert codec.regular_headers(pairs) == Headers([("a", "1")])


@pytest.mark.parametrize("raw", [True, False])
def test_added_headers_replace_what_is_there(raw: bool) -> None:
    options = ProcessingResponse().request_headers.response.header_mutation.set_headers
    codec.add_header_options(options, (("a", "1"),), raw=raw)
    overwrite = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    assert (options[0].header.key, options[0].append_action) == ("a", overwrite)
    assert (options[0].header.raw_value or options[0].header.value.encode()) == b"1"


def test_removals_are_what_is_there_and_matches() -> None:
    pairs = [("x-user-id", "1"), ("x-user-id", "2"), ("x-user-name", "3"), ("x-other", "4")]
    removed = codec.expand_removals(("authorization", "x-user-*", "x-user-id"), Headers(pairs))
    assert removed == ["x-user-id", "x-user-name"]
    assert codec.expand_removals((), Headers(pairs)) == []


def test_struct_gives_json_with_whole_numbers_again() -> None:
    struct = CheckRequest().attributes.metadata_context.filter_metadata["n"]
    value = {"exp": 1_800_000_000, "f": 1.5, "b": True, "n": None, "l": [1, "x"], "o": {"a": "b"}}
    struct.update(value)
    read = codec.struct_to_json(struct)
    assert read == value
    assert isinstance(read["exp"], int)
    assert isinstance(read["f"], float)


def test_number_beyond_a_doubles_integers_stays_a_float() -> None:
    struct = CheckRequest().attributes.metadata_context.filter_metadata["n"]
    struct.update({"big": 2.0**60})
    assert isinstance(codec.struct_to_json(struct)["big"], float)


def identity(**payloads: object) -> GatewayIdentity | None:
    metadata = CheckRequest().attributes.metadata_context
    metadata.filter_metadata["envoy.filters.http.jwt_authn"].update(payloads)
    return codec.gateway_identity(metadata)


def test_jwt_authn_payload_is_the_gateways_identity() -> None:
    assert identity(p={"sub": "ann"}) == GatewayIdentity("envoy_jwt_authn", {"sub": "ann"})
    assert ENVOY.identity_method == ENVOY_EXT_AUTHZ.identity_method == "envoy_jwt_authn"


def test_no_payload_or_two_payloads_are_no_identity() -> None:
    assert codec.gateway_identity(CheckRequest().attributes.metadata_context) is None
    assert identity(p={}) is None
    assert identity(p={"sub": "ann"}, q={"sub": "bob"}) is None
    assert identity(header={"alg": "RS256"}, p="text") == GatewayIdentity(
        "envoy_jwt_authn", {"alg": "RS256"}
    )


def test_request_id_comes_from_ext_authz_metadata_only() -> None:
    metadata = CheckRequest().attributes.metadata_context
    assert codec.request_id_of(metadata) == ""
    metadata.filter_metadata["envoy.lb"].update({codec.REQUEST_ID_KEY: "spoofed"})
    assert codec.request_id_of(metadata) == ""
    metadata.filter_metadata["envoy.filters.http.ext_authz"].update({"other": "x"})
    assert codec.request_id_of(metadata) == ""
    metadata.filter_metadata["envoy.filters.http.ext_authz"].update({codec.REQUEST_ID_KEY: "r1"})
    assert codec.request_id_of(metadata) == "r1"


def test_metadata_never_holds_claims_vault_or_system_text() -> None:
    ticket = Ticket(
        "r1",
        Principal("canary-principal", "jwt", {"email": "canary-claim"}),
        PolicyRef("p", 3, "0" * 64),
        "openai.chat",
        "canary in words\nof a model",
        "route",
        (),
        {},
        False,
        False,
        1,
        0.0,
        vault={"canary-pseudonym": "canary-original"},
        system_text="canary-system",
    )
    shown = codec.decision_metadata(ticket)
    assert shown["promptward_request_id"] == "r1"
    assert shown["promptward_policy"] == "p@3"
    assert shown["promptward_model"] == "(not a name)"
    assert "canary" not in str(shown)
