"""What the policy says about one token issuer.

Invariants: an issuer is either symmetric (one secret, HS256 only) or asymmetric (JWKS by URL or
inline, public keys only), never both, so that no key can be taken for the other kind.

Sources: RFC 7519 section 4.1, RFC 8725 section 3, RFC 9068 (at+jwt).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from promptward.auth.claims import parse_path
from promptward.auth.jose import ALGORITHMS, MIN_SECRET_BYTES, key_fits
from promptward.exchange import JSON
from promptward.settings import Kind, setting

AlgorithmName = Literal["RS256", "PS256", "ES256", "EdDSA", "HS256"]

# RFC 7518 section 6: parameters that only a private key has (6.2.2.1, 6.3.2)
PRIVATE_PARAMETERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


@dataclass(frozen=True, slots=True)
class JwksCacheSettings:
    """How long fetched keys are used."""

    ttl_s: int = setting("Keys are fetched again after this long.", default=300, ge=10, le=86_400)
    min_refresh_s: int = setting(
        "An unknown key id causes at most one fetch in this time.", default=30, ge=1, le=3600
    )
    stale_if_error_s: int = setting(
        "How long after their TTL keys are still used while the key server fails.",
        default=3600,
        ge=0,
        le=604_800,
    )


@dataclass(frozen=True, slots=True)
class JwtIssuerSettings:
    """One issuer of JSON Web Tokens."""

    issuer: str = setting("Exact value of the `iss` claim.", min_length=1, max_length=512)
    audience: tuple[str, ...] = setting(
        "Accepted audiences, any of them; when empty, a token that names an audience is refused.",
        default=(),
        max_length=64,
        one_or_many=True,
    )
    jwks_uri: str | None = setting(
        "Where the issuer publishes its keys.", kind=Kind.URL, default=None, max_length=2048
    )
    jwks: Mapping[str, JSON] | None = setting(
        "The issuer's JWK Set itself, instead of an address.", default=None
    )
    secret: str | None = setting(
        "Shared secret for HS256, 32 bytes or more.", kind=Kind.SECRET, default=None
    )
    algorithms: tuple[AlgorithmName, ...] = setting(
        "Accepted signature algorithms; by default HS256 with a secret, else RS256 and ES256.",
        default=(),
        max_length=5,
    )
    header: str = setting(
        "Header with the token; in `authorization` after `Bearer`, in any other by itself.",
        kind=Kind.HEADER,
        default="authorization",
    )
    typ: tuple[str, ...] = setting(
        "Accepted values of the token's `typ` header.",
        default=("JWT", "at+jwt"),
        min_length=1,
        max_length=16,
    )
    require_typ: bool = setting("Refuse tokens without a `typ` header.", default=False)
    leeway_s: int = setting("Tolerated clock difference in seconds.", default=30, ge=0, le=300)
    max_age_s: int | None = setting(
        "Refuse tokens issued longer ago than this, whatever their `exp`.", default=None, ge=1
    )
    allow_missing_exp: bool = setting(
        "Accept tokens without `exp`; needs `max_age_s`.", default=False
    )
    accept_bound_tokens: bool = setting(
        "Accept sender-constrained tokens (claim `cnf`) whose proof another hop has checked.",
        default=False,
    )
    subject_claim: str = setting("Claim that identifies the caller.", default="sub")
    required_claims: tuple[str, ...] = setting(
        "Claims that must be present and not null.", default=(), max_length=64
    )
    jwks_cache: JwksCacheSettings = setting(
        "How long keys from `jwks_uri` are used.", default_factory=JwksCacheSettings
    )

    def effective_algorithms(self) -> tuple[str, ...]:
        """The allow-list with its default applied."""
        return self.algorithms or (("HS256",) if self.secret is not None else ("RS256", "ES256"))

    def static_keys(self) -> tuple[Mapping[str, JSON], ...]:
        """The keys of the inline JWK Set."""
        keys = (self.jwks or {}).get("keys")
        return tuple(k for k in keys if isinstance(k, dict)) if isinstance(keys, list) else ()

    def problems(self) -> Iterator[tuple[str, str]]:
        if sum(s is not None for s in (self.jwks_uri, self.jwks, self.secret)) != 1:
            yield "", "expected exactly one of jwks_uri, jwks and secret"
        yield from self._algorithm_problems()
        yield from self._key_problems()
        yield from self._claim_problems()
        if "*" in self.header:
            yield "header", "expected a header name without '*'"

    def _algorithm_problems(self) -> Iterator[tuple[str, str]]:
        symmetric = [a for a in self.effective_algorithms() if ALGORITHMS[a].kty == "oct"]
        if symmetric and self.secret is None:
            yield "algorithms", "HS256 needs `secret`; it never uses published keys (RFC 8725 2.1)"
        if self.secret is not None and len(symmetric) < len(self.effective_algorithms()):
            yield "algorithms", "with `secret` only HS256 is possible"
        if self.secret is not None and len(self.secret.encode()) < MIN_SECRET_BYTES:
            yield "secret", f"expected {MIN_SECRET_BYTES} bytes or more (RFC 7518 section 3.2)"

    def _key_problems(self) -> Iterator[tuple[str, str]]:
        if self.jwks_uri is not None and not is_key_address(self.jwks_uri):
            yield "jwks_uri", "expected https (http only to a loopback address)"
        if self.jwks is None:
            return
        written = self.jwks.get("keys")
        if not isinstance(written, list) or not len(self.static_keys()) == len(written) > 0:
            yield "jwks", "expected a JWK Set: a mapping with a non-empty list `keys` of mappings"
        for index, key in enumerate(self.static_keys()):
            where = f"jwks.keys[{index}]"
            if PRIVATE_PARAMETERS & set(key) or key.get("kty") == "oct":
                yield where, "holds private key material; only public keys belong in a policy"
            elif not any(key_fits(alg, key) for alg in self.effective_algorithms()):
                yield where, "fits none of the accepted algorithms (type, curve, size or purpose)"

    def _claim_problems(self) -> Iterator[tuple[str, str]]:
        if self.allow_missing_exp and self.max_age_s is None:
            yield "allow_missing_exp", "needs max_age_s, or a token would be valid for ever"
        paths = [("subject_claim", self.subject_claim)]
        paths += [(f"required_claims[{i}]", p) for i, p in enumerate(self.required_claims)]
        for where, path in paths:
            try:
                parse_path(path)
            except ValueError as error:
                yield where, str(error)


def is_key_address(uri: str) -> bool:
    """Whether keys may be fetched from `uri`: https, or http to this very machine.

    Keys decide who is let in, so nobody on the way may change them. No user info: it would end up
    in logs. No fragment: it has no meaning in a request.
    """
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
