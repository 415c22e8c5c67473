"""The known name that a misspelt one is nearest to, as a hint at the end of an error.

The hint shows a name of ours, never what was written: that may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 128  # characters; more is no misspelt name
_WORD = re.compile(r"[a-z0-9]+")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'NAME'?`, or nothing when no known name is near.

    Near is what differs in a few letters (difflib's ratio, without regard to case), or is the
    beginning of a longer name: `email` of `EMAIL_ADDRESS`.

    Args:
        name: what was written.
        known: the names that would do.
    """
    if len(name) > _LONGEST:
        return ""
    names = {k.casefold(): k for k in known}
    folded = name.casefold()
    close = get_close_matches(folded, names, n=1) or _begun(folded, names)
    return f"; did you mean {str(names[close[0]])!r}?" if close else ""


def _begun(name: str, names: Iterable[str]) -> list[str]:
    """The shortest of `names` whose first words are those of `name`."""
    words = _WORD.findall(name)
    longer = [n for n in names if words and _WORD.findall(n)[: len(words)] == words]
    return sorted(longer, key=lambda n: (len(n), n))[:1]
