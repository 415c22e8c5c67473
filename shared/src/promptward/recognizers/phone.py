"""Telephone numbers: international by structure, national by structure or by a word nearby.

Why not the `phonenumbers` library: its metadata alone is some megabytes of Python, its matcher
costs milliseconds per KB, and a validity table per exchange is not needed to redact.
"""

from __future__ import annotations

import re

from promptward.recognizers.checksums import all_same, digits_of
from promptward.recognizers.cues import REFERENCES
from promptward.recognizers.model import Digits, Recognizer

# Lengths of national significant numbers by country code: ITU-T E.164 national numbering plans.
_BY_LENGTH: tuple[tuple[int, int, str], ...] = (
    (10, 10, "1|7|30|52|58|90|91|98"),
    (9, 9, "27|31|33|34|40|41|48|56|61|66|93|94|351|380|420|421|966|992|994|995|996|998"),
    (8, 8, "45|47|65|356|357|370|371|373|374|382|386|389|852|853|965|968|973|974|975|976|993"),
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
    "phone", "tel ", "tel.", "tel:", "tel-", "tel/", "tel#", "telno", "teleph", "mobile", "cell",
    "call me", "call us", "call him", "call her", "call them",
    "call at", "call on", "call back", "calling", "fax", "desk", "office", "whatsapp", "signal",
    "sms", "text me", "text us", "messages to", "contact", "reach", "dial ", "ring me", "hotline",
    "answering at", "my number", "new number", "on my registered", "landline", "voicemail",
    "mon numéro", "téléphone", "portable", "appel", "joindre", "teléfono", "telefono", "móvil",
    "celular", "mi número", "llám", "cellulare", "chiam", "meu número", "ligue", "handy", "mobil",
    "ruf", "meine nummer", "bel me", "mobiel", "mijn nummer", "ring mig", "numer", "gsm", "cep",
    "puhelin", "tlf", "nummer", "телефон", "тел.", "моб", "звон", "номер", "电话", "手机", "联系",
    "電話", "携帯", "전화", "휴대", "연락", "फ़ोन", "फोन", "मोबाइल", "कॉल", "هاتف", "جوال", "اتصل",
)  # fmt: skip
_NOT_PHONES = (
    *REFERENCES, "ssn", "social security", "iban", "card", "passport", "licen", "account", "zip",
    "postcode", "plz", "id ", "id:", "year", "date", "total", "price", "amount", "usd", "eur",
)  # fmt: skip

_LABELS = ("office", "fax", "mobile", "cell", "home", "work", "phone", "desk", "landline")

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
    return True if any(c in "(.-" for c in value) else 0.4


def _grouped(value: str) -> bool:
    """A national number whose grouping alone shows what it is."""
    return _national(value) and not value.isdigit() and len(digits_of(value)) >= 9


PHONE_NUMBER = (
    Recognizer(
        id="phone_international",
        entity="PHONE_NUMBER",
        pattern=f"(?i)\\+(?:{_INTERNATIONAL}){_EXTENSION}",
        score=0.75,
        anchor=Digits(),
        validate=lambda value: value.count("(") == value.count(")"),
        context=_WORDS,
        context_score=0.95,
    ),
    Recognizer(
        id="phone_international_any",  # lengths no plan knows: new ranges, typing errors
        entity="PHONE_NUMBER",
        pattern=f"(?i)\\+[1-9](?:{_SEP}[0-9]){{6,14}}{_EXTENSION}",
        score=0.55,
        anchor=Digits(),
        validate=_international,
        context=_WORDS,
        context_score=0.8,
        denial=_NOT_PHONES,
    ),
    Recognizer(
        id="phone_international_00",
        entity="PHONE_NUMBER",
        pattern=f"(?i)00[ ]?(?:{_INTERNATIONAL}){_EXTENSION}",
        score=0.4,
        anchor=Digits(),
        validate=lambda value: value.count("(") == value.count(")"),
        context=_WORDS,
        denial=_NOT_PHONES,
        not_before="[0-9A-Za-z_.-]",
    ),
    Recognizer(
        id="phone_nanp",  # North American Numbering Plan: area and exchange start with 2-9
        entity="PHONE_NUMBER",
        pattern=(
            "(?i)(?:1[ .-]?)?(?:\\([2-9][0-9]{2}\\)[ -]?|[2-9][0-9]{2}[ .-])"
            f"[2-9][0-9]{{2}}[ .-][0-9]{{4}}{_EXTENSION}"
        ),
        score=0.6,
        anchor=Digits(),
        validate=_north_american,
        context=_WORDS,
        context_score=0.8,
        denial=_NOT_PHONES,
        not_before="[0-9A-Za-z_.+-]",
        not_after="[0-9A-Za-z_]|[.-][0-9]",
    ),
    Recognizer(
        id="phone_trunk",  # trunk prefix 0 (or 8 in Russia), and groups
        entity="PHONE_NUMBER",
        pattern=(
            "\\(0[1-9][0-9]{0,4}\\)(?:[ /-]{0,2}[0-9]){5,8}"
            "|0[1-9][0-9]{0,3}[ /-](?:[0-9]{1,7}[ /-]?){0,3}[0-9]{2,8}"
            "|0[1-9](?:\\.[0-9]{2}){4}"
            "|8[ -]?\\([0-9]{3,5}\\)(?:[ -]?[0-9]){5,7}"
        ),
        score=0.5,
        anchor=Digits(),
        validate=_grouped,
        context=_WORDS,
        context_score=0.8,
        denial=_NOT_PHONES,
        not_before="[0-9A-Za-z_.,:/+-]",
        not_after="[0-9A-Za-z_:]|[.,/-][0-9]",
    ),
    Recognizer(
        id="phone_national",
        entity="PHONE_NUMBER",
        pattern=f"(?i)\\(?[0-9](?:[ .()/\\x{{a0}}-]{{0,2}}[0-9]){{5,11}}{_EXTENSION}",
        score=0.1,
        anchor=Digits(),
        validate=_national,
        context=_WORDS,
        context_score=0.8,
        denial=_NOT_PHONES,
        not_before="[0-9A-Za-z_.,/+-]",
        not_after="[0-9A-Za-z_:]|[.,/-][0-9]",
    ),
    Recognizer(
        id="phone_labelled_after",  # "416 60 039 office"
        entity="PHONE_NUMBER",
        pattern="\\(?[0-9](?:[ .()/\\x{a0}-]{0,2}[0-9]){5,11}",
        score=0.7,
        anchor=Digits(labels=_LABELS),
        validate=_national,
        followed_by=f"(?i)[ ,(-]{{0,2}}(?:{'|'.join(_LABELS)})\\b",
        not_before="[0-9A-Za-z_./+-]",
        not_after="",
    ),
)
