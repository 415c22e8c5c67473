"""From a ledger URL to a ledger.

    memory://                      this process only
    sqlite:///var/lib/pw/ledger.db  one host; `?synchronous=FULL` for power-loss safety

The path of a `sqlite` URL is absolute; more leading slashes mean the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from promptward.errors import PolicyError
from promptward_ports.ledgers.memory import MemoryLedger
from promptward_ports.ledgers.sqlite import SqliteLedger, Synchronous

if TYPE_CHECKING:
    from promptward_ports.ledgers import Ledger


def open_ledger(url: str, *, timeout_s: float) -> Ledger:
    """Open the ledger at `url`.

    Args:
        timeout_s: longest time one operation may take, over 0.

    Raises:
        PolicyError: the URL is not one of the forms above.
        PortError: the store cannot be opened.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryLedger()
    if parts.scheme == "sqlite":
        return _open_sqlite(url, timeout_s)
    raise PolicyError(
        f"ledger: unknown scheme {parts.scheme!r}, expected memory:// or sqlite:///path"
    )


def _open_sqlite(url: str, timeout_s: float) -> Ledger:
    parts = urlsplit(url)
    path = unquote(parts.netloc + parts.path)
    if not path.startswith("/") or path.endswith("/"):
        raise PolicyError("ledger: expected sqlite:///absolute/path/of/file.db")
    options = dict(parse_qsl(parts.query))
    synchronous = options.pop("synchronous", "NORMAL").upper()
    if options or synchronous not in ("NORMAL", "FULL"):
        raise PolicyError("ledger: a sqlite URL takes only ?synchronous=NORMAL or FULL")
    return SqliteLedger(
        Path("/" + path.lstrip("/")),
        timeout_s=timeout_s,
        synchronous=cast(Synchronous, synchronous),
    )
