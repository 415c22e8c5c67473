"""Street addresses where a pattern can tell: a house number and a word that names a street.

Names of places need a model; see the `Classifier` port.
"""

from __future__ import annotations

from promptward.recognizers.model import Digits, Recognizer

_CAP = "[A-Z\\x{c0}-\\x{de}][a-z\\x{df}-\\x{ff}'.-]{1,20}"
# USPS Publication 28, appendix C1 (the common ones), and their British cousins.
_KIND = (
    "(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Square|Sq|Place|Pl"
    "|Terrace|Way|Highway|Hwy|Parkway|Pkwy|Crescent|Close|Gardens|Trail|Circle|Cir)"
)
_UNIT = ",? (?:Apt|Apartment|Suite|Ste|Unit|Flat)\\.? ?#?[0-9][0-9A-Za-z-]{0,5}"
_ANY_UNIT = "(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|#)\\.? ?[0-9A-Za-z-]{1,6})?"

STREET_ADDRESS = (
    Recognizer(
        id="street_english",
        entity="STREET_ADDRESS",
        pattern=(
            f"[1-9][0-9]{{0,4}}[A-Z]?,? (?:[NSEW]\\.? )?(?:{_CAP} ){{1,3}}{_KIND}\\b\\.?{_ANY_UNIT}"
        ),
        score=0.6,
        anchor=Digits(),
        not_before="[0-9A-Za-z_.,:/$-]",
    ),
    Recognizer(
        id="street_with_unit",  # the unit says what the street's name does not: "Smith Plains"
        entity="STREET_ADDRESS",
        pattern=f"[1-9][0-9]{{0,4}}[A-Z]?,? (?:[NSEW]\\.? )?{_CAP}(?: {_CAP}){{0,3}}{_UNIT}",
        score=0.6,
        anchor=Digits(),
        not_before="[0-9A-Za-z_.,:/$-]",
    ),
)
