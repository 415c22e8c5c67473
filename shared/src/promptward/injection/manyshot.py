"""Many-shot prompts: one text that fakes a long dialogue to lead the model on.

Source: Anthropic, "Many-shot jailbreaking" (2024): success grows with the number of faked turns and
is small below about eight.
Invariants: linear time; free for text without role labels.
"""

from __future__ import annotations

import re

MIN_TURNS = 8
_LABELS = frozenset({"assistant", "ai", "chatgpt", "model", "bot", "gpt"})
# A line begins with a literal, by which it is found quickly.
_ANSWER = re.compile(r"\n[ \t*#>]{0,6}(?:assistant|ai|chatgpt|model|bot|gpt)[ *]{0,3}:")


def dialogue_turns(folded: str, words: frozenset[str]) -> bool:
    """Whether `folded`, whose distinct words are `words`, fakes `MIN_TURNS` answers or more."""
    if words.isdisjoint(_LABELS) or folded.count(":") < MIN_TURNS:
        return False
    return sum(1 for _ in _ANSWER.finditer(f"\n{folded}")) >= MIN_TURNS
