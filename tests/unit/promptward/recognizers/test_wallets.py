"""Crypto-currency addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ("pay 3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy.", "CRYPTO", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
        (
            "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            "CRYPTO",
            "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        ),
        (
            "0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe",
            "CRYPTO",
            "0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe",
        ),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdz",
        "commit d9ae190816615a74e0216bc8ef5fe9f3cae0d3b5",
        "0x0000000000000000000000000000000000000000",
        "0xdeadbeef",
        "1Z999AA10123456784",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
