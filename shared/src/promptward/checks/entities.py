"""What a policy says about one type of entity: which, from which score, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from promptward.settings import setting

Action = Literal["redact", "mask", "hash", "pseudonymize", "flag", "block"]
EDITING = frozenset({"redact", "mask", "hash", "pseudonymize"})


@dataclass(frozen=True, slots=True)
class EntitySettings:
    """What to do with one type of entity."""

    type: str = setting("Entity, or a group: PII, SECRET.", min_length=1, max_length=64)
    action: Action = setting("What happens to a match.", default="redact")
    min_score: float = setting("Matches below are ignored.", ge=0, le=1, default=0.5)
    keep_last: int = setting("Characters that mask leaves readable.", ge=0, le=8, default=4)
