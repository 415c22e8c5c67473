"""Budget arithmetic, shared unchanged by every store that can run Python.

`Book` is the ledger over any `Shelf` of rows; `windows` the arithmetic of one bucket;
`calendar_windows` the time zones. Stores live in `promptward_ports.ledgers`.
"""

from promptward.ledger.book import RETENTION_S, Book, Shelf, forget_spending, usage_row
from promptward.ledger.bucket import (
    Bucket,
    Slot,
    copy_of,
    decode_state,
    encode_state,
    pack_state,
    unpack_state,
)
from promptward.ledger.calendar_windows import UnknownTimezoneError, fixed_bounds
from promptward.ledger.keys import bucket_key, digest, window_fields
from promptward.ledger.reservation import Hold, Reservation, State, decode_holds, encode_holds

__all__ = [
    "RETENTION_S",
    "Book",
    "Bucket",
    "Hold",
    "Reservation",
    "Shelf",
    "Slot",
    "State",
    "UnknownTimezoneError",
    "bucket_key",
    "copy_of",
    "decode_holds",
    "decode_state",
    "digest",
    "encode_holds",
    "encode_state",
    "fixed_bounds",
    "forget_spending",
    "pack_state",
    "unpack_state",
    "usage_row",
    "window_fields",
]
