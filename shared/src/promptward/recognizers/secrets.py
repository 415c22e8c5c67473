"""Credentials: provider keys with their published prefixes, JWTs, private keys, connection URLs.

Prefixes and lengths are those of the providers' own documentation and of the public secret
scanning lists (GitHub secret scanning partners, gitleaks' default rules, MIT).
"""

from __future__ import annotations

import math
import re

from promptward.recognizers.checksums import digits_of
from promptward.recognizers.model import Literals, Recognizer, Validator

_TOKEN = "[0-9A-Za-z_-]"  # noqa: S105 - a character class


def _varied(value: str) -> bool:
    """Not a placeholder such as `sk-xxxxxxxxxxxxxxxx`: enough different characters."""
    return len(set(value[-16:])) >= 7


# n -> n log2 n, for values as long as any recognizer's
_WEIGHTED = tuple(n * math.log2(n) if n else 0.0 for n in range(256))


def entropy_bits(value: str) -> float:
    """Shannon entropy per character, bits."""
    size = len(value)
    if not size:
        return 0.0
    counts = map(value.count, set(value))
    if size < len(_WEIGHTED):
        return math.log2(size) - sum(map(_WEIGHTED.__getitem__, counts)) / size
    return math.log2(size) - sum(n * math.log2(n) for n in counts) / size


def _distinct_enough(size: int) -> int:
    """How many different characters a value needs at most, to have 3.0 bits per character.

    Fewest bits has the value in which all but one of them stand once.
    """
    for distinct in range(1, size + 1):
        rest = size - distinct + 1
        if math.log2(size) - rest * math.log2(rest) / size > _RANDOM_BITS + 1e-9:
            return distinct
    return size + 1


# 3.0 bits over at least 12 characters: English words and identifiers stay below or are of one kind
# (measured on documentation and code).
_RANDOM_BITS = 3.0
_DISTINCT_ENOUGH = tuple(map(_distinct_enough, range(1, len(_WEIGHTED))))
_TOO_ALIKE = 2**_RANDOM_BITS  # different characters that give no more bits


def looks_random(value: str) -> bool:
    """Whether the value has 3.0 bits per character; most often told without computing them."""
    size, distinct = len(value), len(set(value))
    if distinct < _TOO_ALIKE:
        return False
    if size < len(_WEIGHTED) and distinct >= _DISTINCT_ENOUGH[size - 1]:
        return True
    return entropy_bits(value) >= _RANDOM_BITS


def _key(
    entity: str,
    rule: str,
    pattern: str,
    *prefixes: str,
    validate: Validator = _varied,
    score: float = 0.95,
    lead: int = 0,
) -> Recognizer:
    """A key that starts with one of `prefixes`, or has it after `lead` characters at most."""
    return Recognizer(
        id=rule,
        entity=entity,
        pattern=pattern,
        score=score,
        anchor=Literals(prefixes, lead=lead),
        validate=validate,
        not_before=_TOKEN,
        not_after=_TOKEN,
    )


# What stands after `secret :=` in code and configuration: a name, not a value.
_REFERENCE = re.compile(
    r"//|\$\{?[A-Za-z_][0-9A-Za-z_]*\Z|[&*]?[A-Za-z_][0-9A-Za-z_]*(?:\.[A-Za-z_][0-9A-Za-z_]*)+\Z"
)


def _is_generic_secret(value: str) -> bool:
    """Looks random: mixed kinds of characters and high entropy for its length."""
    digits = len(digits_of(value))
    if not digits or (digits <= 3 and _REFERENCE.match(value) is not None):
        return False
    return value.upper() != value.lower() and looks_random(value)


SECRETS: tuple[Recognizer, ...] = (
    _key(
        "AWS_ACCESS_KEY",
        "aws_access_key_id",
        "(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}",
        *("AKIA", "ASIA", "ABIA", "ACCA"),
    ),
    _key("GCP_API_KEY", "gcp_api_key", f"AIza{_TOKEN}{{35}}", "AIza"),
    _key("GCP_OAUTH_TOKEN", "gcp_oauth", f"ya29\\.{_TOKEN}{{20,300}}", "ya29."),
    _key("OPENAI_API_KEY", "openai_project", f"sk-(?:proj|svcacct|admin)-{_TOKEN}{{20,250}}",
         "sk-"),
    _key("OPENAI_API_KEY", "openai_legacy", "sk-[0-9A-Za-z]{32,64}", "sk-"),
    _key("ANTHROPIC_API_KEY", "anthropic", f"sk-ant-{_TOKEN}{{24,200}}", "sk-ant-"),
    _key("OPENROUTER_API_KEY", "openrouter", "sk-or-v1-[0-9a-f]{64}", "sk-or-v1-"),
    _key("HUGGINGFACE_TOKEN", "huggingface", "(?:hf_|api_org_)[0-9A-Za-z]{30,50}",
         "hf_", "api_org_"),
    _key("NPM_TOKEN", "npm", "npm_[0-9A-Za-z]{36}", "npm_"),
    _key("GROQ_API_KEY", "groq", "gsk_[0-9A-Za-z]{40,60}", "gsk_"),
    _key("GITHUB_TOKEN", "github_classic", "gh[pousr]_[0-9A-Za-z]{36,255}",
         "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _key("GITHUB_TOKEN", "github_fine_grained", "github_pat_[0-9A-Za-z_]{40,100}", "github_pat_"),
    _key("GITLAB_TOKEN", "gitlab", f"gl(?:pat|dt|rt|cbt|ptt|ft|soat)-{_TOKEN}{{20,60}}",
         "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-"),
    _key("SLACK_TOKEN", "slack", "xox[abeoprs]-[0-9A-Za-z-]{10,200}", "xox"),
    _key("SLACK_TOKEN", "slack_app", "xapp-[0-9]-[0-9A-Za-z-]{10,200}", "xapp-"),
    _key("STRIPE_KEY", "stripe", "(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,200}",
         "sk_live_", "sk_test_", "rk_live_", "rk_test_"),
    _key("SENDGRID_API_KEY", "sendgrid", f"SG\\.{_TOKEN}{{16,32}}\\.{_TOKEN}{{32,64}}", "SG."),
    _key("GCP_CLIENT_SECRET", "gcp_client_secret", f"GOCSPX-{_TOKEN}{{20,40}}", "GOCSPX-"),
    _key("XAI_API_KEY", "xai", "xai-[0-9A-Za-z]{40,100}", "xai-"),
    _key("PERPLEXITY_API_KEY", "perplexity", "pplx-[0-9A-Za-z]{40,60}", "pplx-"),
    _key("REPLICATE_TOKEN", "replicate", "r8_[0-9A-Za-z]{37}", "r8_"),
    _key("DATABRICKS_TOKEN", "databricks", "dapi[0-9a-f]{32}(?:-[0-9])?", "dapi"),
    _key("PYPI_TOKEN", "pypi", f"pypi-AgE{_TOKEN}{{50,300}}", "pypi-AgE"),
    _key("DOCKER_TOKEN", "docker", f"dckr_pat_{_TOKEN}{{27,40}}", "dckr_pat_"),
    _key("DIGITALOCEAN_TOKEN", "digitalocean", "do[opr]_v1_[0-9a-f]{64}",
         "dop_v1_", "doo_v1_", "dor_v1_"),
    _key("HASHICORP_VAULT_TOKEN", "vault", f"hv[sb]\\.{_TOKEN}{{24,300}}", "hvs.", "hvb."),
    _key("SHOPIFY_TOKEN", "shopify", "shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}",
         "shpat_", "shpca_", "shppa_", "shpss_"),
    _key("ATLASSIAN_TOKEN", "atlassian", f"ATATT3{_TOKEN}{{50,300}}=[0-9A-F]{{8}}", "ATATT3"),
    _key("GRAFANA_TOKEN", "grafana", "glsa_[0-9A-Za-z]{32}_[0-9A-Fa-f]{8}", "glsa_"),
    _key("LINEAR_API_KEY", "linear", "lin_api_[0-9A-Za-z]{40}", "lin_api_"),
    _key("SQUARE_TOKEN", "square", f"sq0(?:atp|csp)-{_TOKEN}{{22,43}}", "sq0atp-", "sq0csp-"),
    _key("TELEGRAM_BOT_TOKEN", "telegram", f"[0-9]{{8,10}}:AA{_TOKEN}{{33}}", ":AA", lead=10),
    _key("AZURE_CLIENT_SECRET", "azure_client_secret",
         "[0-9A-Za-z_~.-]{3}[78]Q~[0-9A-Za-z_~.-]{31,34}", "7Q~", "8Q~", lead=3),
    _key("JWT", "jwt", f"eyJ{_TOKEN}{{8,2000}}\\.{_TOKEN}{{8,6000}}\\.{_TOKEN}{{0,1000}}", "eyJ"),
)  # fmt: skip

_PEM_NAME = "(?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?"

PRIVATE_KEY = Recognizer(
    id="pem_private_key",  # RFC 7468; a key cut off before its END line is one too
    entity="PRIVATE_KEY",
    pattern=(
        f"-----BEGIN {_PEM_NAME}-----"
        # Real line ends, or the two characters \n as in environment variables.
        "(?:[ \\t]{0,8}(?:\\n|\\r|\\\\n|\\\\r)){1,4}[ \\t]{0,8}[0-9A-Za-z+/=]{16}"
        "[0-9A-Za-z+/=\\s\\\\]{0,16000}"
        f"(?:-----END {_PEM_NAME}-----)?"
    ),
    score=1.0,
    anchor=Literals(("-----BEGIN ",)),
    not_before="",
    not_after="",
)

CONNECTION_STRING = Recognizer(
    id="url_with_password",  # RFC 3986 userinfo
    entity="CONNECTION_STRING",
    pattern=(
        "[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\\s:/?#@\"'<>]{0,100}:[^\\s/?#@\"'<>]{1,200}"
        "@[0-9A-Za-z._,:\\[\\]-]{1,300}(?:/[0-9A-Za-z._~%/-]{0,200})?"
        "(?:\\?[0-9A-Za-z._~%/&=+-]{0,200})?"
    ),
    score=1.0,
    anchor=Literals(
        ("://",),
        lead=21,
        lead_class="[A-Za-z0-9+.-]",
        after="[^\\s:/?#@\"'<>]{0,100}:[^\\s/?#@\"'<>]{1,200}@",
    ),
    not_after="",
)

GENERIC_SECRET = Recognizer(
    id="assigned_secret",
    entity="GENERIC_SECRET",
    pattern="[0-9A-Za-z+/_.~!@$%^&*-][0-9A-Za-z+/=_.~!@$%^&*-]{11,199}",
    score=0.7,
    anchor=Literals(
        ("key", "secret", "token", "passw", "pwd", "credential", "bearer "),
        trail=40,
        # an assignment, or what comes after "bearer "
        after=(
            "(?:(?:or)?d|s)?[\"'`]?[ \\t]{0,3}(?:[:=]|is)|[ ]?[0-9a-z+/_.~!@$%^&*-]{12}"
        ),
        fold=True,
    ),
    validate=_is_generic_secret,
    preceded_by=(
        "(?:api[_-]?key|access[_-]?key|secret[_-]?key|account[_-]?key|private[_-]?key|"
        "auth[_-]?key|client[_-]?secret|secret|token|passw(?:or)?d|passwd|pwd|credentials?)"
        "[\"'`]?[ \\t]{0,3}(?::=|=>|[:=]|is)[ \\t]{0,3}[\"'`]?|bearer[ ]{1,2}"
    ),
    not_before="[0-9A-Za-z+/_.~!@$%^&*-]",
    not_after="[0-9A-Za-z+/=_~-]",
)  # fmt: skip
