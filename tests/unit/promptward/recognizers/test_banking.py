"""BIC, routing and account numbers, VAT numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("BIC: DEUTDEFF500", "SWIFT_BIC", "DEUTDEFF500"),
        ("swift code is NEDSZAJJ", "SWIFT_BIC", "NEDSZAJJ"),
        ('"bic":"BNPAFRPP"', "SWIFT_BIC", "BNPAFRPP"),
        ("routing number 011451350", "ABA_ROUTING_NUMBER", "011451350"),
        ("account number 000123456789", "US_BANK_NUMBER", "000123456789"),
        ("USt-IdNr. DE526169423", "EU_VAT", "DE526169423"),
        ("VAT ATU52030608", "EU_VAT", "ATU52030608"),
        ("TVA FR76273520395", "EU_VAT", "FR76273520395"),
        ("VAT no BE0868021722", "EU_VAT", "BE0868021722"),
        ("P. IVA, partita IT84765220367", "EU_VAT", "IT84765220367"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "DOCUMENT",
        "BIC: DOCUQQXX",
        "the SWIFT language",
        "011451350",
        "routing number 011451351",
        "000123456789",
        "DE526169423",
        "VAT DE526169424",
        "VAT FR76273520396",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
