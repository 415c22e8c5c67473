"""Authentication: exactly one credential decides who is calling.

Methods: JSON Web Tokens, API keys, and the identity that the gateway itself verified. Which header
belongs to which method is configuration; where a header may carry a token or an API key, a value
of three or five dot-separated parts is a token and anything else a key.

Invariants: a credential that fails its method is a denial and never tried as another; two
different credentials in one request are a denial, because whoever reads the other one next would
see another caller; the header that carried the credential, and every header that could be taken
for an identity, is listed for removal before the request goes upstream.

Sources: RFC 6750 (bearer tokens; section 2: one method per request), RFC 9110 section 11.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from promptward.auth.api_keys import ApiKeySettings, ApiKeyTable
from promptward.auth.claims import find, parse_path
from promptward.auth.failure import AuthCode, AuthFailure
from promptward.auth.jwt_claims import AuthPorts, JwtAuthenticator
from promptward.auth.jwt_issuer import JwksCacheSettings, JwtIssuerSettings
from promptward.decision import Principal
from promptward.exchange import Exchange, GatewayIdentity, GatewayMethod
from promptward.ports import KeySource, SignatureVerifier
from promptward.settings import Kind, setting
from promptward.values import value_object

# RFC 6750 section 2.1: credentials = "Bearer" 1*SP b64token; the scheme is case-insensitive
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] {1,8}([A-Za-z0-9._~+/-]+=*)", re.ASCII)
# any other header: visible ASCII without comma, so that a list of two values is never one key
_BARE = re.compile(r"[!-+\--~]+", re.ASCII)
_SCHEME_HEADERS = frozenset({"authorization", "proxy-authorization"})
# removing these would break the request or hide where it came from
_NEVER_STRIPPED = ("host", "content-length", "content-type", "transfer-encoding", "te", "trailer")

# Headers in which gateways and identity-aware proxies hand identities upstream: Kong
# (x-consumer-*, x-credential-*, x-anonymous-consumer), our own, OAuth2 Proxy
# (x-auth-request-*, x-forwarded-user and so on), Cloudflare Access, Google IAP, AWS ALB, Azure
# App Service.
DEFAULT_STRIPPED = (
    "x-promptward-*",
    "x-ai-*",
    "x-consumer-*",
    "x-credential-*",
    "x-anonymous-consumer",
    "x-auth-request-*",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "cf-access-*",
    "x-goog-authenticated-user-*",
    "x-goog-iap-jwt-assertion",
    "x-amzn-oidc-*",
    "x-ms-client-principal*",
)


@dataclass(frozen=True, slots=True)
class GatewayIdentitySettings:
    """Trust in the identity that the gateway itself verified."""

    methods: tuple[GatewayMethod, ...] = setting(
        "How the gateway may have verified it: Kong's consumer, the token that Envoy's"
        " `jwt_authn` filter let through, or Cloudflare Access.",
        min_length=1,
        max_length=16,
    )
    subject_claim: str = setting("Claim that identifies the caller.", default="sub")
    credential_headers: tuple[str, ...] = setting(
        "Headers whose credential the gateway has verified; not a second one, and not sent on.",
        kind=Kind.HEADER,
        default=(),
        max_length=8,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        try:
            parse_path(self.subject_claim)
        except ValueError as error:
            yield "subject_claim", str(error)


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Who may call, and how that is proven."""

    jwt: tuple[JwtIssuerSettings, ...] = setting("Token issuers.", default=(), max_length=64)
    api_keys: ApiKeySettings | None = setting("API keys.", default=None)
    gateway: GatewayIdentitySettings | None = setting(
        "Trust what the gateway itself verified.", default=None
    )
    token_cache_s: int = setting(
        "For how many seconds a verified token is accepted again without checking its signature;"
        " never beyond its expiry.",
        default=30,
        ge=0,
        le=300,
    )
    allow_anonymous: bool = setting(
        "Let requests without any credential through to authorization.", default=False
    )
    forward_credentials: bool = setting(
        "Send the caller's credential on to the upstream.", default=False
    )
    strip_inbound_headers: tuple[str, ...] = setting(
        "Headers removed before the upstream; a trailing `*` matches a prefix.",
        kind=Kind.HEADER,
        default=DEFAULT_STRIPPED,
        max_length=128,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if not (self.jwt or self.api_keys or self.gateway or self.allow_anonymous):
            yield "", "expected at least one of jwt, api_keys, gateway or allow_anonymous"
        seen: set[tuple[str, str]] = set()
        for index, issuer in enumerate(self.jwt):
            if (issuer.header, issuer.issuer) in seen:
                yield f"jwt[{index}].issuer", "the same issuer and header as another entry"
            seen.add((issuer.header, issuer.issuer))
        for index, pattern in enumerate(self.strip_inbound_headers):
            prefix = pattern.removesuffix("*")
            if "*" in prefix or len(prefix) < (2 if pattern != prefix else 1):
                yield f"strip_inbound_headers[{index}]", "expected a name or a prefix and one '*'"
            elif any(_covers(pattern, name) for name in _NEVER_STRIPPED):
                yield f"strip_inbound_headers[{index}]", "would remove a header that HTTP needs"

    def jwks_caches(self) -> dict[str, JwksCacheSettings]:
        """How to cache the keys of each key server; the host builds its KeySource from this."""
        return {i.jwks_uri: i.jwks_cache for i in self.jwt if i.jwks_uri is not None}


def _covers(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))


@value_object(frozen=True, slots=True)
class Authenticated:
    """The caller is known.

    Attributes:
        principal: see Principal.
        used_headers: headers that carried the credential.
        remove_headers: what must not go upstream, names or prefixes with `*`; used_headers are
            among them unless the policy forwards credentials.
    """

    principal: Principal
    used_headers: tuple[str, ...]
    remove_headers: tuple[str, ...]


AuthOutcome = Authenticated | AuthFailure

_MISSING = AuthFailure(AuthCode.MISSING_CREDENTIALS, "credentials are required")
_AMBIGUOUS = AuthFailure(
    AuthCode.AMBIGUOUS_CREDENTIALS, "the request carries more than one credential; send one"
)
_MALFORMED = AuthFailure(
    AuthCode.MALFORMED_CREDENTIALS, "the credential is malformed or of an unsupported scheme"
)


@value_object(frozen=True, slots=True)
class _Methods:
    """What one header may carry."""

    tokens: JwtAuthenticator | None
    api_keys: ApiKeyTable | None


class IdentityCheck:
    """The compiled `identity` section of a policy."""

    def __init__(self, settings: IdentitySettings) -> None:
        self.settings = settings
        self._by_header = _methods_by_header(settings)
        self._gateway_subject = parse_path(
            settings.gateway.subject_claim if settings.gateway else "sub"
        )

    async def authenticate(
        self, exchange: Exchange, now_s: float, verifier: SignatureVerifier, keys: KeySource
    ) -> AuthOutcome:
        """Decide who is calling.

        Args:
            exchange: the request.
            now_s: Unix time in seconds.
            verifier: checks token signatures.
            keys: finds the issuers' keys.

        Raises:
            PortError: keys could not be had or a signature could not be checked; never an
                answer to the question, so it must not become an allowance.
        """
        presented = self._presented(exchange)
        if isinstance(presented, AuthFailure):
            return presented
        gateway = self._gateway_identity(exchange)
        if gateway is not None:
            return self._from_gateway(gateway, presented)
        if not presented:
            if self.settings.allow_anonymous:
                return self._known(Principal("", "anonymous", {}), ())
            return _MISSING
        credentials = {_credential(name, raw) for name, raw in presented.items()}
        if len(credentials) > 1:
            return _AMBIGUOUS
        (credential,) = credentials
        if credential is None:
            return _MALFORMED if len(presented) == 1 else _AMBIGUOUS
        methods = self._by_header[next(iter(presented))]
        outcome: Principal | AuthFailure
        if methods.api_keys is None or (methods.tokens is not None and _is_token(credential)):
            assert methods.tokens is not None
            ports = AuthPorts(verifier, keys)
            outcome = await methods.tokens.authenticate(credential, now_s, ports)
        else:
            outcome = methods.api_keys.authenticate(credential, now_s)
        if isinstance(outcome, AuthFailure):
            return outcome
        return self._known(outcome, tuple(presented))

    def _presented(self, exchange: Exchange) -> dict[str, str] | AuthFailure:
        """The raw value of every credential header that was sent."""
        presented: dict[str, str] = {}
        methods = self._by_header
        for name, value in exchange.headers.pairs:
            if name in methods:
                if name in presented:
                    return _AMBIGUOUS
                presented[name] = value
        return presented

    def _gateway_identity(self, exchange: Exchange) -> GatewayIdentity | None:
        trusted, identity = self.settings.gateway, exchange.gateway_identity
        if trusted is None or identity is None or identity.method not in trusted.methods:
            return None
        return identity

    def _from_gateway(self, identity: GatewayIdentity, presented: dict[str, str]) -> AuthOutcome:
        assert self.settings.gateway is not None
        verified = self.settings.gateway.credential_headers
        if not set(presented) <= set(verified):
            return _AMBIGUOUS
        subject = find(identity.claims, self._gateway_subject)
        if not isinstance(subject, str) or not subject:
            return AuthFailure(
                AuthCode.MISSING_CLAIM, "the gateway's identity lacks the claim naming the caller"
            )
        return self._known(Principal(subject, "gateway", identity.claims), verified)

    def _known(self, principal: Principal, used: tuple[str, ...]) -> Authenticated:
        stripped = self.settings.strip_inbound_headers
        if not self.settings.forward_credentials:
            stripped = (*used, *stripped)
        return Authenticated(principal, used, stripped)


def _credential(header: str, raw: str) -> str | None:
    """The credential in a header's value, without its scheme; None when it is malformed."""
    pattern = _BEARER if header in _SCHEME_HEADERS else _BARE
    match = pattern.fullmatch(raw.strip(" \t"))
    return None if match is None else match[match.lastindex or 0]


def _is_token(credential: str) -> bool:
    """Whether it has the shape of a compact JWS or JWE (RFC 7515 section 7.1, RFC 7516)."""
    return credential.count(".") in (2, 4)


def _methods_by_header(settings: IdentitySettings) -> dict[str, _Methods]:
    api_keys = settings.api_keys
    table = ApiKeyTable(api_keys.keys) if api_keys else None
    key_headers = api_keys.headers if api_keys else ()
    names = dict.fromkeys((*(i.header for i in settings.jwt), *key_headers))
    methods = {}
    for name in names:
        issuers = [i for i in settings.jwt if i.header == name]
        tokens = JwtAuthenticator(issuers, settings.token_cache_s) if issuers else None
        methods[name] = _Methods(tokens, table if name in key_headers else None)
    return methods
