"""What an answer should not carry: links that take data out, and active HTML.

Not entities of persons, so not in the catalogue: the `output` check builds them from its settings.
Sources: OWASP LLM05 (improper output handling); Rehberger, "Bing Chat: data exfiltration exploit
explained" (2023) for markdown images; OWASP XSS filter evasion cheat sheet for active HTML.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from promptward.recognizers.model import Literals, Recognizer

UNSAFE_URL = "UNSAFE_URL"
ACTIVE_HTML = "ACTIVE_HTML"

# a run this long of characters that encode data; a UUID has 36, a readable slug has hyphens early
_DATA_RUN = re.compile(r"[0-9A-Za-z+/_=%]{40,}")
_HOST = re.compile(r"https?://(?:[^\s/@?#]{0,256}@)?([^\s/:?#)\"'<>]{1,253})", re.IGNORECASE)
_QUERY = re.compile(r"[?#]")
_URL = r"[Hh][Tt][Tt][Pp][Ss]?://[^\s()<>\"']{1,2000}"


def unsafe_urls(is_allowed: Callable[[str], bool]) -> tuple[Recognizer, ...]:
    """Recognizers of links that may carry data out.

    Args:
        is_allowed: whether a host (lower-case) may be linked to.
    """

    def foreign(value: str) -> bool:
        host = _HOST.search(value)
        return host is None or not is_allowed(host[1].lower())

    def foreign_with_data(value: str) -> bool:
        query = _QUERY.search(value)
        carries = _DATA_RUN.search(value, query.start() if query else 0)
        return carries is not None and foreign(value)

    return (
        Recognizer(
            id="markdown_image",
            entity=UNSAFE_URL,
            # an image is fetched without a click: where it points to is enough
            pattern=r"!\[[^\]\n]{0,200}\]\([ \t<]{0,4}" + _URL + r"[^)\n]{0,200}\)",
            score=0.9,
            anchor=Literals(("![",)),
            validate=foreign,
            not_before="",
            not_after="",
        ),
        Recognizer(
            id="image_tag",
            entity=UNSAFE_URL,
            pattern=r"<[Ii][Mm][Gg][^<>]{0,200}[Ss][Rr][Cc][ \t]{0,4}=[ \t\"']{0,4}"
            + _URL
            + r"[^<>]{0,200}>",
            score=0.9,
            anchor=Literals(("<img",), fold=True),
            validate=foreign,
            not_before="",
            not_after="",
        ),
        Recognizer(
            id="link_with_data",
            entity=UNSAFE_URL,
            pattern=_URL,
            score=0.8,
            anchor=Literals(("http",), fold=True),
            validate=foreign_with_data,
            not_before="",
            not_after="",
        ),
    )


_EVENT = r"[^<>]{0,200}[ \t\n/\"'][Oo][Nn][A-Za-z]{3,24}[ \t]{0,4}="
HTML = (
    Recognizer(
        id="active_tag",
        entity=ACTIVE_HTML,
        pattern=(
            r"<[ \t]{0,2}/?(?:[Ss][Cc][Rr][Ii][Pp][Tt]|[Ii][Ff][Rr][Aa][Mm][Ee]"
            r"|[Oo][Bb][Jj][Ee][Cc][Tt]|[Ee][Mm][Bb][Ee][Dd]|[Bb][Aa][Ss][Ee]"
            r"|[Mm][Ee][Tt][Aa])[ \t\n/>]"
        ),
        score=0.9,
        anchor=Literals(("<",)),
        not_before="",
        not_after="",
    ),
    Recognizer(
        id="event_handler",
        entity=ACTIVE_HTML,
        pattern=r"<[A-Za-z][A-Za-z0-9]{0,16}" + _EVENT,
        score=0.9,
        anchor=Literals(("<",)),
        not_before="",
        not_after="",
    ),
    Recognizer(
        id="script_url",
        entity=ACTIVE_HTML,
        pattern=r"[Jj][Aa][Vv][Aa][Ss][Cc][Rr][Ii][Pp][Tt]:",
        score=0.8,
        anchor=Literals(("javascript:",), fold=True),
        not_before="[0-9A-Za-z_]",
        not_after="",
    ),
)
