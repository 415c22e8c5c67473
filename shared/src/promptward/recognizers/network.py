"""Network addresses: IPv4, IPv6, MAC."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address

from promptward.recognizers.model import Digits, Literals, Recognizer

_HEX = "0123456789abcdefABCDEF"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# Four numbers with dots are also how versions and chapters are written.
_VERSIONED = ("version", "ver.", "release", "firmware", "build", "section", "chapter", "oid", "v.")


def _is_of_somebody(value: str) -> bool:
    """RFC 1122 3.2.1.3: "this host", loopback and netmasks address nobody."""
    return value != "0.0.0.0" and not value.startswith(("127.0.", "255.255."))  # noqa: S104


def _is_ipv6(value: str) -> bool:
    """RFC 4291 text form; short forms like `a::b` are C++ or Ruby more often than addresses."""
    try:
        IPv6Address(value)
    except AddressValueError:
        return False
    groups = [group for group in value.split(":") if group]
    return len(groups) >= 2 and len(value) >= 6 and any(c.isdigit() for c in value)


def _is_mac(value: str) -> bool:
    separators = {c for c in value if c in ":-"}
    return len(separators) == 1 and len({c for c in value if c in _HEX}) > 1


IP_ADDRESS = (
    Recognizer(
        id="ipv4",
        entity="IP_ADDRESS",
        pattern=rf"(?:{_OCTET}\.){{3}}{_OCTET}",
        score=0.8,
        anchor=Digits(),
        validate=_is_of_somebody,
        denial=_VERSIONED,
        context=("ip", "addr", "host", "server", "client"),
        context_score=0.95,
        not_before="[0-9A-Za-z_.]",
        not_after=r"[0-9A-Za-z_]|\.[0-9]",
    ),
    Recognizer(
        id="ipv6",
        entity="IP_ADDRESS",
        pattern=(
            r"(?:[0-9A-Fa-f]{0,4}:){2,7}"
            rf"(?:{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}|[0-9A-Fa-f]{{1,4}}|:)"
        ),
        score=0.8,
        # The first colon: eight groups follow it, or two colons somewhere. Times have neither.
        anchor=Literals(
            (":",),
            lead=5,
            lead_class="[0-9A-Fa-f:]",
            after=(
                ":(?:[0-9A-Fa-f]{1,4}\\b|\\B)|(?:[0-9A-Fa-f]{1,4}:){1,6}:|(?:[0-9A-Fa-f]{1,4}:){5}"
            ),
        ),
        validate=_is_ipv6,
        not_before="[0-9A-Za-z_:.]",
        not_after="[0-9A-Za-z_]|:[0-9A-Za-z:]",
    ),
)

MAC_ADDRESS = (
    Recognizer(
        id="mac",
        entity="MAC_ADDRESS",
        pattern="(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}",  # IEEE 802 canonical form
        score=0.7,
        anchor=Literals(
            (":", "-"),
            lead=2,
            lead_class="[0-9A-Fa-f]",
            before="[0-9A-Fa-f]{2}",
            after="[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]",
        ),
        validate=_is_mac,
        not_before="[0-9A-Za-z_:-]",
        not_after="[0-9A-Za-z_]|[:-][0-9A-Za-z]",
    ),
)
