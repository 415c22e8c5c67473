"""docs/auth.md: its examples are valid policies and its list of codes is complete."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from promptward.auth.failure import AuthCode
from promptward.auth.jwt_issuer import JwtIssuerSettings
from promptward.checks.authorization import AuthorizationSettings
from promptward.checks.identity import IdentitySettings
from promptward.policy.decode import decode
from promptward.settings import describe

PAGE = Path(__file__).parents[4] / "docs" / "auth.md"
TEXT = PAGE.read_text("utf-8")


def test_every_example_is_a_valid_section() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
    assert len(blocks) == 4
    for block in blocks:
        for section, settings in block.items():
            decode(
                {"identity": IdentitySettings, "authorization": AuthorizationSettings}[section],
                settings,
            )


def test_every_code_is_explained() -> None:
    missing = [code.value for code in AuthCode if f"`{code.value}`" not in TEXT]
    assert missing == []


def test_every_issuer_setting_is_in_the_table() -> None:
    names = [field.name for field in describe(JwtIssuerSettings).fields]
    assert [name for name in names if f"`{name}`" not in TEXT] == []
