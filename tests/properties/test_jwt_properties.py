"""Laws of token validation, for arbitrary tokens and claims."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from promptward.auth.failure import AuthCode, AuthFailure
from promptward.auth.globs import GlobSet
from promptward.auth.jose import Jws, base64url, parse_compact
from promptward.auth.jwt_claims import AuthPorts, JwtAuthenticator
from promptward.auth.jwt_issuer import JwtIssuerSettings
from promptward.decision import Principal
from promptward.ports import Jwk
from promptward.sync import run_sync
from promptward.testing.tokens import b64, encode_segment, secret_mint
from promptward_ports.signatures import CryptographyVerifier

SECRET = "a secret of at least thirty-two bytes"
MINT = secret_mint(SECRET)
NOW_S = 1_800_000_000
SETTINGS = JwtIssuerSettings(issuer="i", audience=("llm",), secret=SECRET, leeway_s=60)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
claim_names = st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "cnf", "x"])
header_names = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "cty", "x"])


class NoKeys:
    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        raise AssertionError("there is no key server")


def authenticate(token: str, now_s: float = NOW_S) -> Principal | AuthFailure:
    ports = AuthPorts(CryptographyVerifier(), NoKeys())
    return run_sync(JwtAuthenticator([SETTINGS]).authenticate(token, now_s, ports))


@given(st.text(alphabet=st.characters(), max_size=200))
def test_no_text_raises_or_passes(text: str) -> None:
    assert isinstance(authenticate(text), AuthFailure)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=40))
def test_no_bytes_raise_or_pass(header: bytes, payload: bytes, signature: bytes) -> None:
    token = f"{b64(header)}.{b64(payload)}.{b64(signature)}"
    assert isinstance(authenticate(token), AuthFailure)


@given(
    st.dictionaries(header_names, json_values, max_size=5),
    st.dictionaries(claim_names, json_values, max_size=6),
)
def test_no_signed_header_or_claims_raise(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Even the issuer itself cannot make validation fail in another way than by its answer."""
    written = {"alg": "HS256", **header}
    base: dict[str, Any] = {"iss": "i", "aud": "llm", "sub": "ann", "exp": NOW_S + 60}
    claims = base | claims
    result = authenticate(MINT.seal(encode_segment(written), encode_segment(claims)))
    if isinstance(result, Principal):
        assert claims["iss"] == "i"
        assert "llm" in claims["aud"]
        assert written["alg"] == "HS256"
        assert not {"crit", "b64"} & set(written)
        assert claims["exp"] + 60 > NOW_S


@given(st.data())
def test_changing_any_character_invalidates_a_token(data: st.DataObject) -> None:
    claims = {"iss": "i", "aud": "llm", "sub": "ann", "exp": NOW_S + 60}
    token = MINT.token(claims)
    assert isinstance(authenticate(token), Principal)
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters().filter(lambda c: c != token[place]))
    assert isinstance(authenticate(token[:place] + character + token[place + 1 :]), AuthFailure)


@given(
    exp=st.integers(NOW_S - 200, NOW_S + 200),
    nbf=st.integers(NOW_S - 200, NOW_S + 200),
    iat=st.integers(NOW_S - 200, NOW_S + 200),
)
def test_dates_allow_exactly_the_documented_interval(exp: int, nbf: int, iat: int) -> None:
    claims = {"iss": "i", "aud": "llm", "sub": "ann", "exp": exp, "nbf": nbf, "iat": iat}
    result = authenticate(MINT.token(claims))
    leeway = SETTINGS.leeway_s
    valid = exp + leeway > NOW_S and nbf - leeway <= NOW_S and iat - leeway <= NOW_S
    assert isinstance(result, Principal) is valid
    if isinstance(result, AuthFailure):
        assert result.code in (
            AuthCode.TOKEN_EXPIRED,
            AuthCode.TOKEN_NOT_YET_VALID,
            AuthCode.TOKEN_FROM_FUTURE,
        )


@given(st.binary(max_size=200))
def test_base64url_round_trips(data: bytes) -> None:
    assert base64url(b64(data)) == data


@given(st.text(max_size=40))
def test_base64url_accepts_only_what_it_would_write(text: str) -> None:
    data = base64url(text)
    assert data is None or b64(data) == text


@given(st.text(alphabet="ab._-=+/", max_size=60))
def test_a_parsed_token_has_exactly_one_spelling(token: str) -> None:
    parsed = parse_compact(token)
    if isinstance(parsed, Jws):
        assert f"{parsed.signing_input.decode()}.{b64(parsed.signature)}" == token


# --- globs --------------------------------------------------------------------------------------


def reference(glob: str, name: str) -> bool:
    """The plain meaning, by a regular expression (small inputs only: it backtracks)."""
    pattern = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in glob)
    return re.fullmatch(pattern, name, re.DOTALL) is not None


@given(st.text(alphabet="ab*?", min_size=1, max_size=8), st.text(alphabet="abc\n", max_size=8))
def test_globs_mean_what_they_say(glob: str, name: str) -> None:
    assert GlobSet([glob]).matches(name) is reference(glob, name)


@given(
    st.lists(st.text(alphabet="aB*?", min_size=1, max_size=5), max_size=4),
    st.text(alphabet="abAB ", max_size=6),
)
def test_lenient_sets_match_at_least_what_strict_ones_do(globs: list[str], name: str) -> None:
    if GlobSet(globs).matches(name):
        assert GlobSet(globs, lenient=True).matches(name)
