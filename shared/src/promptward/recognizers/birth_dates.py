"""Dates of birth: any date, but only after a word that makes it one."""

from __future__ import annotations

from promptward.recognizers.model import Digits, Recognizer

_MONTH = (
    "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|januar|februar|märz|mai|juni|juli|okt|dez"
    "|janvier|février|mars|avril|juin|juillet|août|septembre|octobre|novembre|décembre"
    "|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
    "|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre)[a-zé]{0,6}"
)
_DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
_YEAR = "(?:19|20)[0-9]{2}"
_NUMERIC = f"{_DAY}[./-](?:0?[1-9]|[12][0-9]|3[01])[./-](?:{_YEAR}|[0-9]{{2}})"
_WORDS = (
    "born", "dob", "d.o.b", "date of birth", "birth date", "birthdate", "birthday", "birth",
    "geboren", "geburtsdatum", "geb.", "né le", "née le", "naissance", "nacid", "nacimiento",
    "nato il", "nata il", "nascita", "nascid", "nascimento", "geboortedatum", "urodz", "родил",
    "рождения", "doğum", "出生", "生日", "生年月日", "생년월일", "जन्म", "ميلاد", "född", "født",
    "syntym",
)  # fmt: skip

DATE_OF_BIRTH = (
    Recognizer(
        id="date_of_birth",
        entity="DATE_OF_BIRTH",
        pattern=(
            f"(?i){_NUMERIC}|{_YEAR}[./-](?:0?[1-9]|1[0-2])[./-]{_DAY}"
            f"|{_DAY}(?:st|nd|rd|th|\\.)?[ -](?:of |de )?{_MONTH}[.,]?[ -](?:de )?{_YEAR}"
            f"|{_MONTH}\\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}"
            f"|{_YEAR} ?[年년] ?[0-9]{{1,2}} ?[月월] ?[0-9]{{1,2}} ?[日일]"
        ),
        score=0.1,
        anchor=Digits(),
        context=_WORDS,
        context_score=0.85,
        denial=("issued", "expire", "valid", "updated", "created", "released", "published"),
        not_before="[0-9A-Za-z_./-]",
        not_after="[0-9A-Za-z_]|[./-][0-9]",
    ),
)
