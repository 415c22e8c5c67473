"""Who is calling: tokens checked with WebCrypto and a JWKS over fetch and KV; Cloudflare Access."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from promptward.testing.tokens import TokenMint, key_mint, secret_mint
from promptward_workerd.process import Workerd
from promptward_workerd.testing.client import Answer, ChatClient
from promptward_workerd.testing.scripted_origin import Origin

pytestmark = pytest.mark.workerd
StartWorker = Callable[..., Workerd]
ISSUER = "https://login.example.com"
SECRET_ISSUER = "https://legacy.example.com"
SECRET = "a secret of at least thirty-two bytes"
AUDIENCE = "access-audience-tag"
KEYS = "/issuer/keys"
CERTS = "/cdn-cgi/access/certs"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
MINTS = {alg: key_mint(alg, f"key-{alg}") for alg in ALGORITHMS}
ACCESS = key_mint("RS256", "access-1")


def policy_text(origin: Origin) -> str:
    issuers = [
        {
            "issuer": ISSUER,
            "audience": ["ai"],
            "jwks_uri": origin.url + KEYS,
            "algorithms": list(ALGORITHMS),
        },
        {"issuer": SECRET_ISSUER, "audience": ["ai"], "secret": "${LEGACY_SECRET}"},
    ]
    rule = {
        "id": "staff",
        "effect": "allow",
        "when": {"claims": {"team": "staff"}},
        "models": ["*"],
    }
    return yaml.safe_dump(
        {
            "apiVersion": "promptward/v1",
            "kind": "AISecurityPolicy",
            "metadata": {"name": "identity-test", "version": 1},
            "spec": {
                "identity": {
                    "jwt": issuers,
                    "gateway": {"methods": ["cloudflare_access"], "subject_claim": "email"},
                },
                "authorization": {"default": "deny", "rules": [rule]},
            },
        }
    )


@pytest.fixture(scope="session")
def worker(start_worker: StartWorker, origin: Origin) -> Workerd:
    """A Worker that trusts two issuers and one Access application; the policy is in KV."""
    origin.documents[KEYS] = {"keys": [mint.jwk for mint in MINTS.values()]}
    origin.documents[CERTS] = {"keys": [ACCESS.jwk]}
    return start_worker(
        kv={"policy": policy_text(origin)},
        variables={
            "UPSTREAM": origin.url,
            "LEGACY_SECRET": SECRET,
            "ACCESS_TEAM_DOMAIN": origin.url,
            "ACCESS_AUDIENCE": AUDIENCE,
        },
    )


def claims(**changes: object) -> dict[str, object]:
    now_s = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": "ai",
        "sub": "ann",
        "team": "staff",
        "iat": now_s,
        "exp": now_s + 300,
    }
    return {**usual, **changes}


def ask(worker: Workerd, token: str) -> Answer:
    chat = ChatClient(worker.host, worker.port)
    return chat.chat("hello", {"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_signed_token_is_accepted_and_a_changed_one_is_not(alg: str, worker: Workerd) -> None:
    token = MINTS[alg].token(claims())
    assert ask(worker, token).status == 200
    head, payload, signature = token.split(".")
    other = MINTS[alg].token(claims(team="admin")).split(".")[1]
    assert ask(worker, f"{head}.{other}.{signature}").status == 401
    assert ask(worker, f"{head}.{payload}.").status == 401


def test_a_shared_secret_comes_from_a_worker_secret(worker: Workerd) -> None:
    good = secret_mint(SECRET).token(claims(iss=SECRET_ISSUER))
    assert ask(worker, good).status == 200
    assert ask(worker, secret_mint("x" * 40).token(claims(iss=SECRET_ISSUER))).status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"aud": "other"},
        {"iss": "https://evil.example.com"},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
def test_claims_are_judged_by_the_core(changes: dict[str, object], worker: Workerd) -> None:
    assert ask(worker, MINTS["ES256"].token(claims(**changes))).status == 401


def test_a_public_key_is_no_secret_and_none_is_no_algorithm(worker: Workerd) -> None:
    public = json.dumps(MINTS["RS256"].jwk)
    confused = secret_mint(public).token(claims(), kid="key-RS256")
    assert ask(worker, confused).status == 401
    unsigned = TokenMint("none", {}, lambda _: b"").token(claims())
    assert ask(worker, unsigned).status == 401


def test_keys_are_fetched_once_and_kept_in_kv(worker: Workerd, origin: Origin) -> None:
    for _ in range(3):
        assert ask(worker, MINTS["ES256"].token(claims())).status == 200
    asked = [r for r in origin.received if r.path == KEYS]
    assert len(asked) == 1
    kv = list((Path(worker.log).parent / "state" / "kv").glob("jwks.*"))
    assert any("key-ES256" in file.read_text() for file in kv)


def test_unknown_keys_do_not_send_us_back_to_the_key_server(
    worker: Workerd, origin: Origin
) -> None:
    stranger = key_mint("ES256", "stranger")
    for _ in range(5):
        assert ask(worker, stranger.token(claims())).status == 401
    assert len([r for r in origin.received if r.path == KEYS]) <= 2


# --- Cloudflare Access ----------------------------------------------------------------------------


def access_claims(origin: Origin, **changes: object) -> dict[str, object]:
    usual = claims(iss=origin.url, aud=[AUDIENCE], sub="u-1", email="ann@example.com")
    return {**usual, **changes}


def through_access(worker: Workerd, token: str) -> Answer:
    chat = ChatClient(worker.host, worker.port)
    return chat.chat("hello", {"cf-access-jwt-assertion": token})


def test_an_access_token_is_an_identity_once_it_is_verified(
    worker: Workerd, origin: Origin
) -> None:
    assert through_access(worker, ACCESS.token(access_claims(origin))).status == 200
    assert "cf-access-jwt-assertion" not in origin.received[-1].headers
    assert '"id":"ann@example.com","method":"gateway"' in worker.log.read_text()


@pytest.mark.parametrize("wrong", ["key", "audience", "issuer", "expired", "rubbish"])
def test_a_spoofed_access_token_is_no_identity(wrong: str, worker: Workerd, origin: Origin) -> None:
    token = {
        "key": key_mint("RS256", "access-1").token(access_claims(origin)),
        "audience": ACCESS.token(access_claims(origin, aud=["other"])),
        "issuer": ACCESS.token(access_claims(origin, iss="https://other.cloudflareaccess.com")),
        "expired": ACCESS.token(access_claims(origin, exp=1)),
        "rubbish": "a.b.c",
    }[wrong]
    assert through_access(worker, token).status == 401


def test_the_authorization_of_an_access_identity_is_the_policys(
    worker: Workerd, origin: Origin
) -> None:
    token = ACCESS.token(access_claims(origin, team="visitors"))
    assert through_access(worker, token).status == 403


def test_a_service_token_is_known_by_its_name(worker: Workerd, origin: Origin) -> None:
    token = ACCESS.token(
        access_claims(origin, sub="", email="ci@example.com", common_name="ci.access")
    )
    assert through_access(worker, token).status == 200


def test_no_token_and_no_claim_is_in_the_log(worker: Workerd, origin: Origin) -> None:
    token = ACCESS.token(access_claims(origin, canary="canary-in-claims"))
    assert through_access(worker, token).status == 200
    log = worker.log.read_text()
    assert "canary-in-claims" not in log
    assert token[-40:] not in log
