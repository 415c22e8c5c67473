"""From a ledger URL to a ledger.

    memory://                       this process only
    sqlite:///var/lib/pw/ledger.db  one host; `?synchronous=FULL` for power-loss safety
    redis://host:6379/0             many hosts; all forms: `redis_connect`

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


def open_ledger(url: str, *, timeout_s: float, suspending: bool = False) -> Ledger:
    """Open the ledger at `url`.

    Args:
        timeout_s: longest time one operation may take, over 0.
        suspending: for hosts with an asyncio loop: waits for Redis suspend instead of blocking
            the loop. The other stores block either way, for about 0.1 ms.

    Raises:
        PolicyError: the URL is not one of the forms above.
        PortError: the store cannot be opened.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return MemoryLedger()
    if scheme == "sqlite":
        return _open_sqlite(url, timeout_s)
    if scheme.startswith("redis") or scheme == "unix":
        return _open_redis(url, timeout_s, suspending=suspending)
    raise PolicyError(
        f"ledger: unknown scheme {scheme!r}, expected memory://, sqlite:///path or redis://host"
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


def _open_redis(url: str, timeout_s: float, *, suspending: bool) -> Ledger:
    try:
        from promptward_ports.ledgers.redis_connect import (
            connect_blocking,
            connect_suspending,
            parse_redis_url,
        )
        from promptward_ports.ledgers.redis_ledger import RedisLedger
        from promptward_ports.ledgers.resilient import ResilientLedger
    except ImportError as error:
        raise PolicyError("ledger: redis:// needs `pip install promptward[redis]`") from error
    target = parse_redis_url(url)
    connect = connect_suspending if suspending else connect_blocking
    return ResilientLedger(RedisLedger(connect(target, timeout_s), prefix=target.prefix))
