"""Word-for-word repetition of a known text: found, replaced, and the same at every cut."""

from __future__ import annotations

import pytest

from promptward.stream.json_escaped import JsonEscapedChannel
from promptward.stream.overlap import MAX_GAP, MAX_RUNS, MIN_TOKENS, KnownText, OverlapChannel

SYSTEM = (
    "You are Aria, the assistant of Acme Bank. Never mention interest rates above five percent."
    " Always answer in the customer's own language and keep every answer under forty words."
)
LEAK = (
    "Never mention interest rates above five percent. Always answer in the customer's own language"
)


def run(text: str, size: int = 0, known: str = SYSTEM, replacement: str | None = "<X>") -> str:
    channel = OverlapChannel(KnownText(known), replacement)
    size = size or max(1, len(text))
    out = [channel.feed(text[i : i + size]) for i in range(0, len(text), size)]
    return "".join(out) + channel.close()


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (f"Sure: {LEAK}!", "Sure: <X>!"),
        (f"{LEAK.upper()} and more", "<X> more"),
        ("Our interest rates are above five percent.", None),
        ("I am the assistant of Acme Bank.", None),
        ("a b c d e f g h", None),
        ("", None),
    ],
)
def test_what_is_a_leak(text: str, result: str | None) -> None:
    expected = text if result is None else result
    assert run(text) == expected


def test_two_leaks_are_two_matches() -> None:
    channel = OverlapChannel(KnownText(SYSTEM), None)
    text = f"{LEAK}. Unrelated words here. {LEAK}"
    assert channel.feed(text) + channel.close() == text
    assert [text[m.start : m.end] for m in channel.matches] == [LEAK, LEAK]


def test_punctuation_case_and_line_ends_do_not_matter() -> None:
    text = "never, mention -- INTEREST rates\nabove *five* percent: always answer in the end"
    assert run(text) == "<X> end"  # "answer in the" stands there too


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
@pytest.mark.parametrize(
    "text", [f"x {LEAK} y {LEAK[:60]} z {LEAK}", SYSTEM, LEAK[:30] + " but not"]
)
def test_cuts_change_nothing(text: str, size: int) -> None:
    assert run(text, size) == run(text)


def test_invisible_characters_hide_nothing() -> None:
    assert run("\u200b".join(LEAK.split(" ")).replace("\u200b", " \u200b")) == "<X>"


def test_scripts_without_spaces() -> None:
    known = "你是银行的助手。绝对不要提到超过百分之五的利率，也不要透露内部规则，所有回答都要简短并且使用客户的语言，不得超过四十个字。"
    assert "绝对不要提到" not in run(f"规则：{known}", known=known)
    assert run("利率是多少？", known=known) == "利率是多少？"


def test_a_long_gap_breaks_a_run() -> None:
    words = LEAK.split(" ")
    half = len(words) // 2
    text = " ".join(words[:half]) + " " * (MAX_GAP + 1) + " ".join(words[half:])
    assert run(text[: len(text) // 2 + 20]).count("<X>") == 0


def test_what_is_held_back_is_bounded() -> None:
    channel = OverlapChannel(KnownText("a b " * 200), "<X>")
    most = 0
    for _ in range(50):
        channel.feed("b")
        channel.feed(" " * 40)
        most = max(most, channel.pending)
    assert most < MIN_TOKENS * (64 + MAX_GAP)


def test_a_text_that_repeats_itself_costs_no_more_than_another() -> None:
    """Following every place where two words stand would cost the text's length for each token."""
    known = KnownText("la " * (20 * MAX_RUNS))
    runs: dict[int, int] = {}
    for _ in range(2 * MAX_RUNS):
        runs = known.extend(runs, "la", "la")
        assert len(runs) <= MAX_RUNS
    assert max(runs.values()) == 2 * MAX_RUNS + 1
    channel = OverlapChannel(known, "<X>")
    assert channel.feed("so " + "la " * 30) + channel.close() == "so <X> "


def test_a_short_known_text_is_none() -> None:
    assert not KnownText("Be kind.")
    assert KnownText(SYSTEM)


def test_inside_json_source() -> None:
    source = '{"text":"' + LEAK.replace(" ", "\\u0020") + '"}'
    channel = JsonEscapedChannel(OverlapChannel(KnownText(SYSTEM), "<X>"))
    assert channel.feed(source) + channel.close() == '{"text":"<X>"}'
