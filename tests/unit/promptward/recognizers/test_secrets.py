"""Credentials. Every value here is made up."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from promptward.recognizers.secrets import entropy_bits, looks_random

Finder = Callable[[str], list[tuple[str, str]]]

# Assembled from parts, so that secret scanners do not take this file for a leak.
RANDOM = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY" * 4
KEYS = [
    ("AWS_ACCESS_KEY", "AKIA" + "Z3MEXAMPLE7Q4R5T"),
    ("GCP_API_KEY", "AIza" + RANDOM[:34] + "-"),
    ("GCP_OAUTH_TOKEN", "ya29." + RANDOM[:60]),
    ("OPENAI_API_KEY", "sk-" + "proj-" + RANDOM[:48]),
    ("OPENAI_API_KEY", "sk-" + RANDOM[:48]),
    ("ANTHROPIC_API_KEY", "sk-" + "ant-api03-" + RANDOM[:90]),
    ("OPENROUTER_API_KEY", "sk-" + "or-v1-" + "0a1b2c3d4e5f6789" * 4),
    ("HUGGINGFACE_TOKEN", "hf_" + RANDOM[:34]),
    ("NPM_TOKEN", "npm_" + RANDOM[:36]),
    ("GROQ_API_KEY", "gsk_" + RANDOM[:52]),
    ("GITHUB_TOKEN", "ghp_" + RANDOM[:36]),
    ("GITHUB_TOKEN", "github_pat_" + RANDOM[:60]),
    ("GITLAB_TOKEN", "glpat-" + RANDOM[:20]),
    ("SLACK_TOKEN", "xoxb-" + "123456789012-" + RANDOM[:24]),
    ("SLACK_TOKEN", "xapp-" + "1-" + RANDOM[:40]),
    ("STRIPE_KEY", "sk_" + "live_" + RANDOM[:24]),
    ("SENDGRID_API_KEY", "SG." + RANDOM[:22] + "." + RANDOM[:43]),
    ("GCP_CLIENT_SECRET", "GOCSPX-" + RANDOM[:28]),
    ("XAI_API_KEY", "xai-" + RANDOM[:80]),
    ("PERPLEXITY_API_KEY", "pplx-" + RANDOM[:48]),
    ("REPLICATE_TOKEN", "r8_" + RANDOM[:37]),
    ("DATABRICKS_TOKEN", "dapi" + "0a1b2c3d4e5f6789" * 2),
    ("PYPI_TOKEN", "pypi-" + "AgE" + RANDOM[:100]),
    ("DOCKER_TOKEN", "dckr_pat_" + RANDOM[:27]),
    ("DIGITALOCEAN_TOKEN", "dop_v1_" + "0a1b2c3d4e5f6789" * 4),
    ("HASHICORP_VAULT_TOKEN", "hvs." + RANDOM[:90]),
    ("SHOPIFY_TOKEN", "shpat_" + "0a1b2c3d4e5f6789" * 2),
    ("ATLASSIAN_TOKEN", "ATATT3" + RANDOM[:100] + "=0A1B2C3D"),
    ("GRAFANA_TOKEN", "glsa_" + RANDOM[:32] + "_0a1b2c3d"),
    ("LINEAR_API_KEY", "lin_api_" + RANDOM[:40]),
    ("SQUARE_TOKEN", "sq0atp-" + RANDOM[:22]),
    ("TELEGRAM_BOT_TOKEN", "1234567890:" + "AA" + RANDOM[:33]),
    ("AZURE_CLIENT_SECRET", "q8R8Q~" + RANDOM[:34]),
    ("JWT", "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiI0MiJ9." + RANDOM[:43]),
    ("JWT", "eyJhbGciOiJub25lIn0." + "eyJzdWIiOiI0MiJ9."),
    ("CONNECTION_STRING", "postgres://admin:" + "s3cr3t" + "@db.internal:5432/prod"),
    ("CONNECTION_STRING", "mongodb+srv://u:" + "p4ss" + "@c0.example.net/?retryWrites=true"),
    ("CONNECTION_STRING", "redis://:" + "hunter2" + "@cache:6379"),
    ("CONNECTION_STRING", "https://user:" + "token" + "@git.example.com/a.git"),
]
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n" * 3
PEM = "-----BEGIN " + "PRIVATE KEY-----\n" + BODY + "-----END " + "PRIVATE KEY-----"


@pytest.mark.parametrize(("entity", "value"), KEYS)
@pytest.mark.parametrize(
    "frame", ["{}", "here is my key {} please debug", '{{"secret": "{}"}}', "export X={}\nworks"]
)
def test_found(find: Finder, frame: str, entity: str, value: str) -> None:
    assert (entity, value) in find(frame.format(value))


@pytest.mark.parametrize(
    ("entity", "value"), [pair for pair in KEYS if pair[0] != "CONNECTION_STRING"]
)
def test_one_character_more_on_the_left_is_another_word(
    find: Finder, entity: str, value: str
) -> None:
    assert entity not in [found for found, _ in find("x" + value)]


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        PEM.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", "\n    "),
    ],
)
def test_private_keys(find: Finder, text: str) -> None:
    assert find(f"key: {text}\nend") == [("PRIVATE_KEY", text)]


def test_a_private_key_cut_off_in_its_middle(find: Finder) -> None:
    ((entity, value),) = find(PEM[:120])
    assert (entity, value) == ("PRIVATE_KEY", PEM[:120])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("password: Tr0ub4dor&3xyz", "Tr0ub4dor&3xyz"),
        ('API_KEY="9f8e7d6c5b4a39281706f5e4"', "9f8e7d6c5b4a39281706f5e4"),
        ("client_secret=q8R~x3vK2mPz7LwT9sYd", "q8R~x3vK2mPz7LwT9sYd"),
        ("Authorization: Bearer a1B2c3D4e5F6g7H8", "a1B2c3D4e5F6g7H8"),
        ("the token is 7hG5fD3sA1qW2eR4", "7hG5fD3sA1qW2eR4"),
        ('{"accessKey": "Zx9Cv8Bn7Mq6Wl5K"}', "Zx9Cv8Bn7Mq6Wl5K"),
    ],
)
def test_assigned_secrets(find: Finder, text: str, value: str) -> None:
    assert find(text) == [("GENERIC_SECRET", value)]


@pytest.mark.parametrize(
    "text",
    [
        "pk_test_placeholder and your-api-key-here and sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-learn and sk-image are libraries",
        "AKIA is a prefix",
        "commit d9ae190816615a74e0216bc8ef5fe9f3cae0d3b5 fixes it",
        "sha256:b8bc5795a6f89d5567f7d4b4fd221ae8a8c2afb75b629df330235954fda552fc",
        "trace_id=4341d9697836494113d7d7eb1f5009fb span=f74ecc8796de21d5",
        "uuid 27bdc755-6e98-0932-53de-fa1b8e1607e5",
        "password: ********",
        "password = your_password_here",
        "the secret is that nobody knows",
        "max_tokens: 4096",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
        "https://example.com:8080/a@b",
        "eyJ is how they begin",
        "ghp_tooshort1",
        "monkey: abcdefghijkl",
        "secret := &corev1.Secret{}",
        "encodedCredentials := base64.StdEncoding.EncodeToString(b)",
        "clientSecret: $AUTH0_CLIENT_SECRET",
        "key: $secret://vault/1/foo/bar",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []


def test_entropy_of_known_strings() -> None:
    assert entropy_bits("aaaa") == 0
    assert entropy_bits("abab") == 1
    assert entropy_bits("abcd") == 2


def test_randomness_is_told_as_by_computing_it() -> None:
    rng = random.Random(3)
    told = {True: 0, False: 0}
    for size in (1, 7, 8, 9, 12, 16, 40, 255, 256, 300):
        for letters in range(1, 40):
            value = "".join(
                rng.choices("0123456789abcdefghijklmnopqrstuvwxyzABCD"[:letters], k=size)
            )
            assert looks_random(value) == (entropy_bits(value) >= 3.0)
            told[looks_random(value)] += 1
    assert min(told.values()) > 50
    assert looks_random("01234567")
    assert not looks_random("")
