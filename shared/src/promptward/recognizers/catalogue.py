"""Every recognizer of the project by entity, and the group names a policy may use.

Adding a recognizer: one family file, one line here, one mirrored test with hard negatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from promptward.recognizers import (
    addresses,
    americas,
    asia_pacific,
    banking,
    birth_dates,
    contact,
    europe_north_east,
    europe_west,
    medical,
    network,
    payment,
    phone,
    secrets,
    united_kingdom,
    us,
    wallets,
)
from promptward.recognizers.model import Recognizer


def _by_entity(recognizers: Iterable[Recognizer]) -> dict[str, tuple[Recognizer, ...]]:
    grouped: dict[str, tuple[Recognizer, ...]] = {}
    for recognizer in recognizers:
        grouped[recognizer.entity] = (*grouped.get(recognizer.entity, ()), recognizer)
    return grouped


_PERSONAL = _by_entity(
    (
        *contact.EMAIL_ADDRESS,
        *phone.PHONE_NUMBER,
        *payment.CREDIT_CARD,
        *payment.IBAN_CODE,
        *network.IP_ADDRESS,
        *network.MAC_ADDRESS,
        *us.US_SSN,
        *us.US_IDENTITY,
        *united_kingdom.UNITED_KINGDOM,
        *europe_west.EUROPE_WEST,
        *europe_north_east.EUROPE_NORTH_EAST,
        *asia_pacific.ASIA_PACIFIC,
        *americas.AMERICAS,
        *banking.SWIFT_BIC,
        *banking.BANKING,
        *wallets.CRYPTO,
        *birth_dates.DATE_OF_BIRTH,
        *medical.MEDICAL,
        *addresses.STREET_ADDRESS,
    )
)
_SECRET = _by_entity(
    (*secrets.SECRETS, secrets.PRIVATE_KEY, secrets.CONNECTION_STRING, secrets.GENERIC_SECRET)
)

# Entity -> its recognizers.
CATALOGUE: Mapping[str, tuple[Recognizer, ...]] = MappingProxyType({**_PERSONAL, **_SECRET})

# Group -> entities; a policy may name a group where it may name an entity.
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PII": tuple(_PERSONAL),
        "SECRET": tuple(_SECRET),
    }
)


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Entities for entity and group names, in order, each once.

    Raises:
        KeyError: a name is neither.
    """
    entities: dict[str, None] = {}
    for name in names:
        for entity in GROUPS.get(name, (name,)):
            if entity not in CATALOGUE:
                raise KeyError(entity)
            entities[entity] = None
    return tuple(entities)


def recognizers_for(names: Iterable[str]) -> tuple[Recognizer, ...]:
    """The catalogue's recognizers for entity and group names.

    Raises:
        KeyError: a name is neither.
    """
    return tuple(recognizer for entity in expand(names) for recognizer in CATALOGUE[entity])
