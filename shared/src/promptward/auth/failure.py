"""Why a caller could not be authenticated, and the challenge that goes back.

Invariants: codes are stable; messages are fixed texts that never quote the credential, so they may
be logged. How much is revealed: which rule failed, never the configured value that it failed
against (no list of issuers, audiences or key ids).

Source: RFC 6750 section 3 (`WWW-Authenticate` and its error codes), RFC 9110 section 11.6.1.
"""

from __future__ import annotations

from enum import StrEnum

from promptward.decision import HeaderPairs
from promptward.values import value_object


class AuthCode(StrEnum):
    """Stable code of an authentication failure; each is answered with 401."""

    MISSING_CREDENTIALS = "missing_credentials"
    AMBIGUOUS_CREDENTIALS = "ambiguous_credentials"
    MALFORMED_CREDENTIALS = "malformed_credentials"
    UNKNOWN_API_KEY = "unknown_api_key"
    API_KEY_EXPIRED = "api_key_expired"
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105 - a code, not a password
    ENCRYPTED_TOKEN = "encrypted_token"  # noqa: S105
    UNKNOWN_ISSUER = "unknown_issuer"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    CRITICAL_HEADER = "critical_header_not_understood"
    WRONG_TOKEN_TYPE = "wrong_token_type"  # noqa: S105
    UNKNOWN_KEY = "unknown_key"
    INVALID_SIGNATURE = "invalid_signature"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"  # noqa: S105
    TOKEN_FROM_FUTURE = "token_issued_in_future"  # noqa: S105
    TOKEN_TOO_OLD = "token_too_old"  # noqa: S105
    WRONG_AUDIENCE = "wrong_audience"
    MISSING_CLAIM = "missing_claim"
    INVALID_CLAIM = "invalid_claim"
    BOUND_TOKEN = "sender_constrained_token"  # noqa: S105


# RFC 6750 section 3.1: no error code when the request carried no authentication at all;
# `invalid_request` when it used more than one method or was malformed.
_OAUTH_ERRORS = {
    AuthCode.MISSING_CREDENTIALS: "",
    AuthCode.AMBIGUOUS_CREDENTIALS: "invalid_request",
    AuthCode.MALFORMED_CREDENTIALS: "invalid_request",
}


@value_object(frozen=True, slots=True)
class AuthFailure:
    """The caller is not who the policy needs: answer 401.

    Attributes:
        code: see AuthCode.
        message: fixed text for the client.
    """

    code: AuthCode
    message: str

    @property
    def status(self) -> int:
        return 401

    @property
    def headers(self) -> HeaderPairs:
        """The challenge; a 401 must carry one (RFC 9110 section 15.5.2)."""
        error = _OAUTH_ERRORS.get(self.code, "invalid_token")
        if not error:
            return (("www-authenticate", "Bearer"),)
        challenge = f'Bearer error="{error}", error_description="{self.message}"'
        return (("www-authenticate", challenge),)
