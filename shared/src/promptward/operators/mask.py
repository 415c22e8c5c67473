"""Mask: cover the characters of the value and keep its last few, and its separators."""

from __future__ import annotations

from promptward.values import value_object


@value_object(frozen=True, slots=True)
class Mask:
    """Replace letters and digits by `char`, all but the last `keep_last` of them.

    At most half of a value stays readable whatever `keep_last` says, so that a short value is
    never shown whole. Separators stay, so the shape of a card number remains.

    Attributes:
        keep_last: letters and digits left readable at the end, 0 or more.
        char: the masking character.
    """

    keep_last: int = 4
    char: str = "*"

    def __post_init__(self) -> None:
        if self.keep_last < 0 or len(self.char) != 1:
            raise ValueError("keep_last must be 0 or more, and char one character")

    def apply(self, _entity: str, value: str, /) -> str:
        signs = sum(1 for c in value if c.isalnum())
        covered = signs - min(self.keep_last, signs // 2)
        result: list[str] = []
        for c in value:
            if c.isalnum() and covered > 0:
                covered -= 1
                result.append(self.char)
            else:
                result.append(c)
        return "".join(result)
