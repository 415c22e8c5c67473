"""E-mail addresses."""

from __future__ import annotations

from promptward.recognizers.model import Literals, Recognizer

# Latin with diacritics, Greek, Cyrillic: RFC 6531 addresses without swallowing adjacent CJK text.
_LETTER = "A-Za-z\\x{c0}-\\x{24f}\\x{370}-\\x{52f}"
_LABEL = f"[{_LETTER}0-9](?:[{_LETTER}0-9-]{{0,61}}[{_LETTER}0-9])?"
# RFC 5321 4.5.3.1: 64 octets of local part; RFC 1035 2.3.4: 63 per label. Only characters that
# occur in real mailboxes: `/`, `=` and quotes of RFC 5322 atoms would glue URLs and code to it.
_EMAIL = (
    f"[{_LETTER}0-9_](?:[{_LETTER}0-9._%+'-]{{0,62}}[{_LETTER}0-9_+-])?"
    f"@(?:{_LABEL}\\.){{1,8}}[{_LETTER}]{{2,24}}"
)
# `icon@2x.png`, `pkg@v1.min.js`: file endings that are no top-level domains (IANA root zone).
_FILE_ENDINGS = frozenset(
    {
        *("png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "js", "ts", "jsx", "tsx", "css"),
        *("html", "json", "yaml", "yml", "toml", "txt", "xml"),
    }
)


def _is_mailbox(value: str) -> bool:
    local, _, domain = value.rpartition("@")
    ending = domain.rpartition(".")[2].lower()
    if ending in _FILE_ENDINGS or ".." in local:
        return False
    return local != "git"  # the ssh user of every forge, never a person


EMAIL_ADDRESS = (
    Recognizer(
        id="email",
        entity="EMAIL_ADDRESS",
        pattern=_EMAIL,
        score=0.95,
        anchor=Literals(("@",), lead=64, lead_class=f"[{_LETTER}0-9._%+'-]"),
        validate=_is_mailbox,
        not_before=f"[{_LETTER}0-9_]",
        not_after=f"[{_LETTER}0-9_]|-[{_LETTER}0-9]",
    ),
)
