"""JWT validation: header rules, key choice, signature, then the registered claims.

Order and why: the issuer is chosen by the *unverified* `iss` among the configured ones only, which
picks rules and keys but grants nothing; then the header's rules; then the signature; and only after
it the claims, so that nobody without the issuer's key learns which claims would do.

Invariants: same verdict behind every gateway (only the signature arithmetic is a port); the number
of signature verifications per token is bounded; no message quotes a claim.

Sources: RFC 7519 sections 4.1 and 7.2, RFC 7515 section 4.1, RFC 8725 section 3, RFC 9068.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from promptward.auth import jose
from promptward.auth.claims import find, parse_path
from promptward.auth.failure import AuthCode, AuthFailure
from promptward.auth.jose import ALGORITHMS, Jws
from promptward.auth.jwt_issuer import JwtIssuerSettings
from promptward.auth.verified_tokens import VerifiedTokens
from promptward.decision import Principal
from promptward.exchange import JSON
from promptward.ports import Jwk, KeySource, SignatureVerifier
from promptward.values import value_object

# A token without `kid` is tried against at most this many fitting keys; key servers publish two or
# three at a time, and each try costs a signature verification.
MAX_KEYS_TRIED = 8
MAX_SUBJECT_CHARACTERS = 512
# 9999-12-31T23:59:59Z: beyond it a date is a mistake (milliseconds, for instance)
_LAST_DATE_S = 253_402_300_799

Claims = Mapping[str, JSON]


@value_object(frozen=True, slots=True)
class AuthPorts:
    """What verifying a token needs from the host."""

    verifier: SignatureVerifier
    keys: KeySource


class JwtIssuer:
    """The compiled rules of one issuer."""

    def __init__(self, settings: JwtIssuerSettings) -> None:
        self.settings = settings
        self._algorithms = frozenset(settings.effective_algorithms())
        self._types = frozenset(_media_type(t) for t in settings.typ)
        self._audience = frozenset(settings.audience)
        self._subject = parse_path(settings.subject_claim)
        self._required = tuple(parse_path(path) for path in settings.required_claims)
        self._inline = self._inline_keys(settings)

    @staticmethod
    def _inline_keys(settings: JwtIssuerSettings) -> tuple[Jwk, ...]:
        if settings.secret is None:
            return settings.static_keys()
        secret = base64.urlsafe_b64encode(settings.secret.encode()).rstrip(b"=").decode()
        return ({"kty": "oct", "k": secret},)

    async def authenticate(
        self, jws: Jws, claims: Claims, now_s: float, ports: AuthPorts
    ) -> Principal | AuthFailure:
        """Apply every rule to a parsed token of this issuer.

        Args:
            jws: the parsed token.
            claims: its payload, parsed; `iss` is this issuer.
            now_s: Unix time in seconds.
            ports: see AuthPorts.

        Raises:
            PortError: keys could not be had or a signature could not be checked.
        """
        failure = (
            self._header_failure(jws.header)
            or await self._signature_failure(jws, ports)
            or self._claims_failure(claims, now_s)
        )
        if failure is not None:
            return failure
        subject = find(claims, self._subject)
        if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_CHARACTERS:
            return AuthFailure(
                AuthCode.MISSING_CLAIM, "the token lacks the claim that identifies the caller"
            )
        return Principal(subject, "jwt", claims)

    def valid_until_s(self, claims: Claims) -> float:
        """When a token that is valid now stops being so, as Unix time in seconds."""
        settings = self.settings
        expires_s = _date_s(claims.get("exp"))
        issued_s = _date_s(claims.get("iat"))
        ends = [math.inf if expires_s is None else expires_s]
        if settings.max_age_s is not None and issued_s is not None:
            ends.append(issued_s + settings.max_age_s)
        return min(ends) + settings.leeway_s

    # --- header ---------------------------------------------------------------------------------

    def _header_failure(self, header: Claims) -> AuthFailure | None:
        alg = header.get("alg")
        if not isinstance(alg, str) or alg not in self._algorithms:
            return AuthFailure(
                AuthCode.ALGORITHM_NOT_ALLOWED, "the token's algorithm is not accepted"
            )
        # RFC 7515 section 4.1.11: extensions not understood MUST be refused; none is understood.
        # RFC 7797 says a `b64` that matters is listed in `crit`: one that is not is a trick.
        if "crit" in header or "b64" in header:
            return AuthFailure(
                AuthCode.CRITICAL_HEADER, "the token demands an extension that is not supported"
            )
        return self._type_failure(header) or self._kid_failure(header)

    def _type_failure(self, header: Claims) -> AuthFailure | None:
        typ = header.get("typ")
        if typ is None and "typ" not in header and not self.settings.require_typ:
            return None
        if isinstance(typ, str) and _media_type(typ) in self._types:
            return None
        return AuthFailure(AuthCode.WRONG_TOKEN_TYPE, "the token's type is not accepted")

    @staticmethod
    def _kid_failure(header: Claims) -> AuthFailure | None:
        kid = header.get("kid", "-")
        if isinstance(kid, str) and 1 <= len(kid) <= jose.MAX_KID_CHARACTERS:
            return None
        return AuthFailure(AuthCode.MALFORMED_TOKEN, "the token's key id is malformed")

    # --- signature ------------------------------------------------------------------------------

    async def _signature_failure(self, jws: Jws, ports: AuthPorts) -> AuthFailure | None:
        alg, kid = str(jws.header["alg"]), jws.header.get("kid")
        length = ALGORITHMS[alg].signature_bytes
        if length and len(jws.signature) != length:
            return AuthFailure(AuthCode.INVALID_SIGNATURE, "the token's signature is not valid")
        candidates = await self._candidates(kid if isinstance(kid, str) else None, ports.keys)
        fitting = list(islice(jose.fitting_keys(alg, candidates), MAX_KEYS_TRIED))
        if not fitting:
            return AuthFailure(AuthCode.UNKNOWN_KEY, "the token's key is not known")
        for key in fitting:
            if await ports.verifier.verify(alg, key, jws.signing_input, jws.signature):
                return None
        return AuthFailure(AuthCode.INVALID_SIGNATURE, "the token's signature is not valid")

    async def _candidates(self, kid: str | None, source: KeySource) -> Sequence[Jwk]:
        if self.settings.jwks_uri is not None:
            return await source.keys(self.settings.jwks_uri, kid)
        # an inline key that has no id of its own is meant for every token of the issuer
        return [k for k in self._inline if kid is None or k.get("kid", kid) == kid]

    # --- claims ---------------------------------------------------------------------------------

    def _claims_failure(self, claims: Claims, now_s: float) -> AuthFailure | None:
        return (
            self._time_failure(claims, now_s)
            or self._audience_failure(claims)
            or self._presence_failure(claims)
        )

    def _time_failure(self, claims: Claims, now_s: float) -> AuthFailure | None:
        leeway = self.settings.leeway_s
        dates: dict[str, float] = {}
        for name in ("exp", "nbf", "iat"):
            if name in claims:
                date = _date_s(claims[name])
                if date is None:
                    return _invalid_claim(name)
                dates[name] = date
        if "exp" not in dates and not self.settings.allow_missing_exp:
            return _missing_claim("exp")
        # RFC 7519 section 4.1.4: on or after `exp` the token MUST NOT be accepted
        if now_s >= dates.get("exp", math.inf) + leeway:
            return AuthFailure(AuthCode.TOKEN_EXPIRED, "the token has expired")
        if now_s < dates.get("nbf", 0.0) - leeway:
            return AuthFailure(AuthCode.TOKEN_NOT_YET_VALID, "the token is not valid yet")
        return self._age_failure(dates.get("iat"), now_s)

    def _age_failure(self, issued_s: float | None, now_s: float) -> AuthFailure | None:
        max_age, leeway = self.settings.max_age_s, self.settings.leeway_s
        if issued_s is None:
            return None if max_age is None else _missing_claim("iat")
        if issued_s > now_s + leeway:
            return AuthFailure(AuthCode.TOKEN_FROM_FUTURE, "the token was issued in the future")
        if max_age is not None and now_s - issued_s > max_age + leeway:
            return AuthFailure(AuthCode.TOKEN_TOO_OLD, "the token was issued too long ago")
        return None

    def _audience_failure(self, claims: Claims) -> AuthFailure | None:
        """RFC 7519 section 4.1.3: we are in `aud`, or the token is not for us."""
        if "aud" not in claims:
            return _missing_claim("aud") if self._audience else None
        written = claims["aud"]
        named: Iterable[JSON] = written if isinstance(written, list) else (written,)
        texts = [name for name in named if isinstance(name, str)]
        if not isinstance(written, str | list) or (
            isinstance(written, list) and len(texts) != len(written)
        ):
            return _invalid_claim("aud")
        if self._audience.isdisjoint(texts):
            return AuthFailure(AuthCode.WRONG_AUDIENCE, "the token is meant for another audience")
        return None

    def _presence_failure(self, claims: Claims) -> AuthFailure | None:
        if "cnf" in claims and not self.settings.accept_bound_tokens:
            # RFC 7800; RFC 9449 section 7.2: a bound token sent as a bearer token is refused
            return AuthFailure(
                AuthCode.BOUND_TOKEN, "the token is bound to a key whose proof was not checked"
            )
        if any(find(claims, path) is None for path in self._required):
            return AuthFailure(AuthCode.MISSING_CLAIM, "the token lacks a required claim")
        return None


def _media_type(typ: str) -> str:
    """RFC 7515 section 4.1.9: case-insensitive, `application/` may be left out."""
    return typ.lower().removeprefix("application/")


def _date_s(value: JSON) -> float | None:
    """A NumericDate (RFC 7519 section 2), or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LAST_DATE_S else None


def _missing_claim(name: str) -> AuthFailure:
    return AuthFailure(AuthCode.MISSING_CLAIM, f"the token lacks the claim {name}")


def _invalid_claim(name: str) -> AuthFailure:
    return AuthFailure(AuthCode.INVALID_CLAIM, f"the claim {name} of the token is malformed")


class JwtAuthenticator:
    """All issuers whose tokens one header may carry.

    Args:
        issuers: their settings; each `issuer` once.
        cache_s: for how many seconds a verified token is accepted again without verifying it.
    """

    def __init__(self, issuers: Iterable[JwtIssuerSettings], cache_s: int = 0) -> None:
        self._issuers = {settings.issuer: JwtIssuer(settings) for settings in issuers}
        self._cache_s = cache_s
        self._verified = VerifiedTokens()

    async def authenticate(
        self, token: str, now_s: float, ports: AuthPorts
    ) -> Principal | AuthFailure:
        """Who presents this token.

        Args:
            token: compact JWS.
            now_s: Unix time in seconds.
            ports: see AuthPorts.

        Raises:
            PortError: a port failed.
        """
        known = self._verified.find(token, now_s) if self._cache_s else None
        return known or await self._verify(token, now_s, ports)

    async def _verify(self, token: str, now_s: float, ports: AuthPorts) -> Principal | AuthFailure:
        jws = jose.parse_compact(token)
        if isinstance(jws, AuthFailure):
            return jws
        claims = jose.parse_object(jws.payload)
        if claims is None:
            return AuthFailure(
                AuthCode.MALFORMED_TOKEN, "the token's claims are not one strict JSON object"
            )
        name = claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            return AuthFailure(AuthCode.UNKNOWN_ISSUER, "the token's issuer is not trusted")
        outcome = await issuer.authenticate(jws, claims, now_s, ports)
        if self._cache_s and isinstance(outcome, Principal):
            until_s = min(now_s + self._cache_s, issuer.valid_until_s(claims))
            self._verified.keep(token, outcome, now_s, until_s)
        return outcome
