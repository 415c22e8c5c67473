"""The accelerator where google-re2 is not what `import re2` gives."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from promptward.recognizers import RecognizerSet, recognizers_for
from promptward.recognizers.accelerated import re2_gate
from promptward.recognizers.syntax import parse


class SetOfAnotherPackage:
    """As in bindings that copy the C++ names or none."""

    def __init__(self, anchor: int) -> None:
        self.anchor = anchor


def module(**members: object) -> ModuleType:
    made = ModuleType("re2")
    vars(made).update(members)
    return made


@pytest.mark.parametrize(
    "found",
    [
        None,  # (what makes an import fail)
        module(compile=len, search=len),
        module(compile=len, error=ValueError, Set=SetOfAnotherPackage),
        module(Options=dict, error=ValueError, Set=SetOfAnotherPackage),
    ],
)
def test_without_google_re2_everything_runs(
    found: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "re2", found)
    assert re2_gate([parse("a{3}")]) is None
    matches = RecognizerSet(recognizers_for(("EMAIL_ADDRESS",))).find("to ann@example.org")
    assert [(m.entity, m.start) for m in matches] == [("EMAIL_ADDRESS", 3)]
