"""Telephone numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("Telefon: 692 460 3805", "PHONE_NUMBER", "692 460 3805"),
        ("Tel 26657465", "PHONE_NUMBER", "26657465"),
        ("tél. 920 225 701", "PHONE_NUMBER", "920 225 701"),
        ("text 08-25 15 00 for details", "PHONE_NUMBER", "08-25 15 00"),
        ("please ring 346 56 56", "PHONE_NUMBER", "346 56 56"),
        ("830 214 9917 is my new cell", "PHONE_NUMBER", "830 214 9917"),
        ("94680031 is her work number", "PHONE_NUMBER", "94680031"),
        ("001-931-426-9296x701", "PHONE_NUMBER", "001-931-426-9296x701"),
        ("902/576-9370", "PHONE_NUMBER", "902/576-9370"),
        ("Phone: +49 1512 3077215", "PHONE_NUMBER", "+49 1512 3077215"),
        ("see +1 (415) 555-2671 today", "PHONE_NUMBER", "+1 (415) 555-2671"),
        ("fax +46 (0)8 928 571 38", "PHONE_NUMBER", "+46 (0)8 928 571 38"),
        ("dial 0044 20 7946 0958 now", "PHONE_NUMBER", "0044 20 7946 0958"),
        ("reply to 415-555-2671", "PHONE_NUMBER", "415-555-2671"),
        ("(212) 555-0187 ext. 12", "PHONE_NUMBER", "(212) 555-0187 ext. 12"),
        ("nach 030 12345678 verbinden", "PHONE_NUMBER", "030 12345678"),
        ("appelez 06 12 34 56 78 demain", "PHONE_NUMBER", "06 12 34 56 78"),
        ("03.93.92.16.85", "PHONE_NUMBER", "03.93.92.16.85"),
        ("звоните 8 (912) 345-67-89", "PHONE_NUMBER", "8 (912) 345-67-89"),
        ("my number is 612 34 51 79", "PHONE_NUMBER", "612 34 51 79"),
        ("Tel. 467 3395", "PHONE_NUMBER", "467 3395"),
        ("电话:13123457294", "PHONE_NUMBER", "13123457294"),
        ("090-1234-7679", "PHONE_NUMBER", "090-1234-7679"),
        ("416 60 039 office", "PHONE_NUMBER", "416 60 039"),
        ('"phone":"4155552671"', "PHONE_NUMBER", "4155552671"),
        ("order 17, but call me at 555 0142", "PHONE_NUMBER", "555 0142"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "tell me 555123456 times",
        "the text of 12345678 pages",
        "12345678 is my new favourite number",
        "Order number 7151935886 has shipped",
        "part no 397-592-9944X",
        "ticket 500191014 and case 511-15-740",
        "meeting id 985 4840 6778",
        "timestamp 1751929671 ms=1671910040549",
        "invoice INV-2022-28-1332",
        "Revenue was 3,919,383 USD in 2013-2027",
        "lat -12.439532, lon -2.875266",
        "uuid 27bdc755-6e98-0932-53de-fa1b8e1607e5",
        "on 2024-05-17 12:33:01",
        "between 1990 - 2000",
        "const x = [410, 83987, 89710, 34897];",
        "ISBN 978-3-16-711030-0",
        "version 4.24.224.1",
        "0.1234567891",
        "phone case 2023-01-15",
        "1 000 000 000 people",
        "222 222 2222",
        "call me on 12/05/2024",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
