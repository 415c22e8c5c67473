"""E-mail addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        (
            "Write to anna.meier+news@mail.example.co.uk, please.",
            "EMAIL_ADDRESS",
            "anna.meier+news@mail.example.co.uk",
        ),
        ("user=bob@example.com&next=/home", "EMAIL_ADDRESS", "bob@example.com"),
        ("<carol_99@example-site.org>", "EMAIL_ADDRESS", "carol_99@example-site.org"),
        ("邮箱dave@example.cn谢谢", "EMAIL_ADDRESS", "dave@example.cn"),
        ("jürgen@müller.de", "EMAIL_ADDRESS", "jürgen@müller.de"),
        ("иван@почта.рф", "EMAIL_ADDRESS", "иван@почта.рф"),
        ("o'neil@example.com", "EMAIL_ADDRESS", "o'neil@example.com"),
        ("mailto:eve@example.com?subject=x", "EMAIL_ADDRESS", "eve@example.com"),
        ("Ends with it: frank@example.com.", "EMAIL_ADDRESS", "frank@example.com"),
        ('{"email":"grace@example.io"}', "EMAIL_ADDRESS", "grace@example.io"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        'import { a } from "@scope/pkg@8.0.0"',
        "the handle @someone posted",
        "icon@2x.png and banner@3x.webp",
        "git clone git@forge.example:team/app.git",
        "a@b",
        "pip install foo==1.2.3 @decorator",
        "x @ y . com",
        "name@localhost",
        "@@@@",
        "foo@bar..com",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
