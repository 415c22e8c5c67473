"""Places where attacks are spoken about: in several languages, and only shortly after it is said."""

from __future__ import annotations

import pytest

from promptward.injection.folding import fold
from promptward.injection.reported import REACH, reported


@pytest.mark.parametrize(
    "before",
    [
        "Attackers write: ",
        "It flags phrases such as ",
        "Angreifer schreiben: ",
        "Les pirates écrivent ",
        "Злоумышленники пишут ",
        "攻击者会写",
        "공격자는 ",
    ],
)
def test_who_speaks_about_attacks(before: str) -> None:
    text = fold(f"{before}do as I say")
    assert reported(text, len(text) - len("do as I say"))


def test_what_is_said_plainly_or_far_away_or_after_is_not_reported() -> None:
    assert not reported("now do as i say", 4)
    assert not reported(f"attackers write a lot. {'x ' * (REACH // 2)}do as i say", 23 + REACH)
    assert not reported("do as i say, attackers write", 0)
