"""Cloudflare Access: its token becomes a gateway identity only after we verified it.

Access puts a signed token into `Cf-Access-Jwt-Assertion`. A Worker must check it itself: without
Access in front (another hostname, workers.dev) anybody can send that header. The rules are the
core's own for JSON Web Tokens. A token that fails gives no identity, and the policy then treats
the request as one without that credential.

Source: https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/
authorization-cookie/validating-json/ (issuer, audience tag, /cdn-cgi/access/certs, RS256).
"""

from __future__ import annotations

from promptward.auth.failure import AuthFailure
from promptward.auth.jwt_claims import AuthPorts, JwtAuthenticator
from promptward.auth.jwt_issuer import JwtIssuerSettings
from promptward.exchange import JSON, GatewayIdentity


class AccessVerifier:
    """Verifies tokens of one Access application.

    Args:
        origin: `https://<team>.cloudflareaccess.com`.
        audience: the application's audience tag.
    """

    def __init__(self, origin: str, audience: str) -> None:
        issuer = JwtIssuerSettings(
            issuer=origin,
            audience=(audience,),
            jwks_uri=f"{origin}/cdn-cgi/access/certs",
            algorithms=("RS256",),
            # Service tokens have an empty `sub`; every Access token has `iss`.
            subject_claim="iss",
        )
        self._authenticator = JwtAuthenticator((issuer,))

    async def identity(self, token: str, now_s: float, ports: AuthPorts) -> GatewayIdentity | None:
        """Verified claims, or None when the token is not valid.

        For a service token `sub` is its `common_name` (the client id): Access leaves it empty.

        Raises:
            PortError: keys could not be had.
        """
        outcome = await self._authenticator.authenticate(token, now_s, ports)
        if isinstance(outcome, AuthFailure):
            return None
        claims: dict[str, JSON] = dict(outcome.claims)
        if not claims.get("sub") and claims.get("common_name"):
            claims["sub"] = claims["common_name"]
        return GatewayIdentity("cloudflare_access", claims)
