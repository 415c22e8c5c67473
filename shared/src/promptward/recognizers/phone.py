"""Telephone numbers: international by structure, national by structure or by a word nearby.

Why not the `phonenumbers` library: its metadata alone is some megabytes of Python, its matcher
costs milliseconds per KB, and a validity table per exchange is not needed to redact.
"""

from __future__ import annotations

import re

from promptward.recognizers.checksums import all_same, digits_of
from promptward.recognizers.cues import REFERENCES
from promptward.recognizers.model import NOT_WORD, Digits, Recognizer, Validator

# Lengths of national significant numbers by country code: ITU-T E.164 national numbering plans.
_BY_LENGTH: tuple[tuple[int, int, str], ...] = (
    (10, 10, "1|7|30|52|58|90|91|98"),
    (9, 9, "27|31|33|34|40|41|48|56|61|66|93|94|351|380|420|421|966|992|994|995|996|998"),
    (8, 8, "45|47|65|356|357|370|371|373|374|382|386|389|852|853|965|968|973|974|976|993"),
    (9, 10, "44|81|84|92|375"),
    (10, 11, "54|55|57"),
    (8, 9, "32|36|51|355|377|381|383|385|387|855|886|962|963|971|972"),
    (6, 9, "350|354|359|376|423|961|967|975|24[0-9]|26[0-9]|50[0-9]|59[0-9]|69[0-9]"),
    (5, 7, "29[0-9]|67[0-9]|68[0-9]"),
    (7, 10, "2[1235][0-9]|850|970|20|46|53|60|63|64|95|353|856|880|964|977"),
    (7, 11, "39|62|82|86"),
    (6, 13, "43|49|352|358"),
    (7, 8, "372|960"),
)
_SEP = "[ .()/\\x{a0}-]{0,3}"
_EXTENSION = "(?:[ ,;]{0,2}(?:x|ext\\.?|extension)[ .]?[0-9]{1,6})?"
_INTERNATIONAL = "|".join(
    f"(?:{codes})(?:{_SEP}|[ -]?\\(0\\)[ -]?)[0-9](?:{_SEP}[0-9]){{{least - 1},{most - 1}}}"
    for least, most, codes in _BY_LENGTH
)

_WORDS = (
    # ("tel" alone would be found in "tell me")
    "phone", "tel ", "tel.", "tel:", "tel-", "tel/", "tel#", "telno", "telef", "teleph",
    "mobile", "cell",
    "call me", "call us", "call him", "call her", "call them",
    "call at", "call on", "call back", "calling", "fax", "desk", "office", "whatsapp", "signal",
    "sms", "text me", "text us", "messages to", "contact", "reach", "dial ", "ring me", "hotline",
    "answering at", "my number", "new number", "on my registered", "landline", "voicemail",
    "mon numéro", "tél", "portable", "appel", "joindre", "teléf", "móvil",
    "celular", "mi número", "llám", "cellulare", "chiam", "meu número", "ligue", "handy", "mobil",
    "ruf", "meine nummer", "bel me", "mobiel", "mijn nummer", "ring mig", "numer", "gsm", "cep",
    "puhelin", "tlf", "nummer", "τηλ", "κιν", "טלפון", "נייד", "телефон", "тел.",
    "моб", "звон", "номер", "电话", "手机", "联系",
    "電話", "携帯", "전화", "휴대", "연락", "फ़ोन", "फोन", "मोबाइल", "कॉल", "هاتف", "جوال", "اتصل",
)  # fmt: skip
_VERBS = ("text", "ring", "call", "dial", "phone", "sms")
_NOT_PHONES = (
    *REFERENCES, "ssn", "social security", "iban", "card", "passport", "licen", "account", "zip",
    "postcode", "plz", "id ", "id:", "year", "date", "total", "price", "amount", "usd", "eur",
)  # fmt: skip

# Words after a number; what "is my" and the like begin has to end in one of the nouns.
_NOUNS = ("office", "fax", "mobile", "cell", "home", "work", "phone", "desk", "landline")
_POSSESSIVES = ("is my", "is his", "is her", "is our", "is their", "is the")
_LABEL = (
    f"(?i)[ ,(-]{{0,2}}(?:(?:{'|'.join(_NOUNS)})"
    f"|(?:{'|'.join(_POSSESSIVES)}) (?:new |old |current |direct )?"
    f"(?:{'|'.join(_NOUNS)}|number|whatsapp))\\b"
)

_DATE = re.compile(
    r"(?:[0-3]?[0-9][ ./-][01]?[0-9][ ./-](?:19|20)[0-9]{2}"
    r"|(?:19|20)[0-9]{2}[ ./-][01]?[0-9][ ./-][0-3]?[0-9])(?![0-9])",
    re.ASCII,
)


def _balanced(value: str) -> bool:
    return value.count("(") == value.count(")") <= 1


def _national(value: str) -> bool:
    """Plausible digits, and not a date or a decimal fraction."""
    digits = digits_of(value.lower().partition("x")[0])
    if all_same(digits) or not _balanced(value):
        return False
    if _DATE.match(value) is not None:
        return False
    return value.count(".") != 1 or " " in value or "-" in value


def _international(value: str) -> bool | float:
    """Without separators a short row of digits after a plus is any number."""
    if value.count("(") != value.count(")"):
        return False
    return True if not value[1:].isdigit() or len(value) > 10 else 0.3


def _north_american(value: str) -> bool | float:
    """Three groups with spaces alone are also how other numbers are written."""
    if all_same(digits_of(value)):
        return False
    return True if "-" in value or "(" in value or "." in value else 0.4


def _grouped(value: str) -> bool:
    """A national number whose grouping alone shows what it is."""
    return _national(value) and not value.isdigit() and len(digits_of(value)) >= 9


def _phone(
    id: str,  # noqa: A002 - the recognizer's own word
    pattern: str,
    score: float,
    validate: Validator,
    *,
    context_score: float = 0.8,
    denial: tuple[str, ...] = _NOT_PHONES,
    not_before: str = "[0-9A-Za-z_.,/+-]",
    not_after: str = "[0-9A-Za-z_:]|[.,/-][0-9]",
) -> Recognizer:
    """A form of numbers; the words before them and those that veto them are the same for all."""
    return Recognizer(
        id=f"phone_{id}",
        entity="PHONE_NUMBER",
        pattern=pattern,
        score=score,
        anchor=Digits(),
        validate=validate,
        context=_WORDS,
        context_score=context_score,
        denial=denial,
        not_before=not_before,
        not_after=not_after,
    )


def _paired(value: str) -> bool:
    return value.count("(") == value.count(")")


# North American Numbering Plan: area and exchange start with 2-9.
_NANP = (
    "(?i)(?:(?:00)?1[ .-]?)?(?:\\([2-9][0-9]{2}\\)[ -]?|[2-9][0-9]{2}[ ./-])"
    f"[2-9][0-9]{{2}}[ .-][0-9]{{4}}{_EXTENSION}"
)
# Trunk prefix 0 (or 8 in Russia), and groups.
_TRUNK = (
    "\\(0[1-9][0-9]{0,4}\\)(?:[ /-]{0,2}[0-9]){5,8}"
    "|0[1-9][0-9]{0,3}[ /-](?:[0-9]{1,7}[ /-]?){0,3}[0-9]{2,8}"
    "|0[1-9](?:\\.[0-9]{2}){4}"
    "|8[ -]?\\([0-9]{3,5}\\)(?:[ -]?[0-9]){5,7}"
)
_ANY = "\\(?[0-9](?:[ .()/\\x{a0}-]{0,2}[0-9])"
_NATIONAL = f"(?i){_ANY}{{5,11}}{_EXTENSION}"

_FORMS = (
    _phone(
        "international", f"(?i)\\+(?:{_INTERNATIONAL}){_EXTENSION}", 0.75, _paired,
        context_score=0.95, denial=(), not_before=NOT_WORD, not_after=NOT_WORD,
    ),
    # lengths no plan knows: new ranges, typing errors
    _phone(
        "international_any", f"(?i)\\+[1-9](?:{_SEP}[0-9]){{6,14}}{_EXTENSION}", 0.55,
        _international, not_before=NOT_WORD, not_after=NOT_WORD,
    ),
    _phone(
        "international_00", f"(?i)00[ ]?(?:{_INTERNATIONAL}){_EXTENSION}", 0.4, _paired,
        context_score=0.85, not_before="[0-9A-Za-z_.-]", not_after=NOT_WORD,
    ),
    _phone(
        "nanp", _NANP, 0.6, _north_american,
        not_before="[0-9A-Za-z_.+-]", not_after="[0-9A-Za-z_]|[.-][0-9]",
    ),
    _phone("trunk", _TRUNK, 0.5, _grouped, not_before="[0-9A-Za-z_.,:/+-]"),
    _phone("national", _NATIONAL, 0.1, _national),
)  # fmt: skip

PHONE_NUMBER = (
    *_FORMS,
    Recognizer(
        id="phone_after_verb",  # "text 08-25 15 00", "ring 346 56 56"
        entity="PHONE_NUMBER",
        pattern=_NATIONAL,
        score=0.1,
        anchor=Digits(),
        validate=_national,
        context=_VERBS,
        context_score=0.6,
        denial=_NOT_PHONES,
        not_before="[0-9A-Za-z_.,/+-]",
        not_after="[0-9A-Za-z_:]|[.,/-][0-9]",
        preceded_by=f"\\b(?:{'|'.join(_VERBS)})[ :]{{1,2}}",
    ),
    Recognizer(
        id="phone_labelled_after",  # "416 60 039 office", "830 214 9917 is my new cell"
        entity="PHONE_NUMBER",
        pattern=f"{_ANY}{{5,11}}",
        score=0.7,
        anchor=Digits(labels=(*_NOUNS, *_POSSESSIVES)),
        validate=_national,
        followed_by=_LABEL,
        not_before="[0-9A-Za-z_./+-]",
        not_after="",
    ),
)
