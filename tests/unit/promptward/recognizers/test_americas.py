"""Canada, Brazil, Mexico, Argentina, Chile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("SIN 665 183 638", "CA_SIN", "665 183 638"),
        ("975.836.446-40", "BR_CPF", "975.836.446-40"),
        ("CPF 97583644640", "BR_CPF", "97583644640"),
        ("34.536.476/4635-03", "BR_CNPJ", "34.536.476/4635-03"),
        ("CNPJ 34536476463503", "BR_CNPJ", "34536476463503"),
        ("BOXW550510HDFRRR89", "MX_CURP", "BOXW550510HDFRRR89"),
        ("20-12362186-8", "AR_CUIT", "20-12362186-8"),
        ("RUT 47.052.630-0", "CL_RUT", "47.052.630-0"),
        ("RUT 74101400-9", "CL_RUT", "74101400-9"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "665183638",
        "SIN 665 183 639",
        "975.836.446-41",
        "97583644640",
        "34.536.476/4635-04",
        "BOXW550510HDFRRR88",
        "20-12362186-7",
        "47.052.630-1",
        "74101400-9",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
