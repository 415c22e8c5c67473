"""MessagePack-RPC frames as Kong's Lua side speaks them (runloop/plugin_servers/rpc/mp_rpc.lua).

A request is `[0, id, method, [argument]]`, an answer `[1, id, error | nil, result]`.

Invariants: bytes that are not UTF-8 survive both ways (`surrogateescape`), because one header byte
above 0x7f must not cost the connection; a message that cannot be read still yields its id when its
head can be read, so that the caller can refuse that request instead of dropping it (Kong lets a
request whose RPC failed pass).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgpack  # type: ignore[import-untyped]

from promptward.values import value_object

STEP = "plugin.Step"
"""The method that brings the result of a PDK call; its name may go on."""

# Longest head of a message that is kept to recover its id: array header, type and a 64-bit id.
_HEAD_BYTES = 16
# msgpack's buffer per connection; it would take 1 MiB. Most messages are smaller than this.
_BUFFER_BYTES = 8 * 1024
# After this much a reader between two messages gets a new buffer, in case one was large.
_RENEW_BYTES = 1 << 20


@value_object(frozen=True, slots=True)
class RpcRequest:
    """One call from Kong. `argument` is untrusted and untyped."""

    id: int
    method: str
    argument: object


class WireError(Exception):
    """The connection cannot be read any further.

    Attributes:
        message_id: id of the message that broke it, or None when even that is unreadable.
    """

    def __init__(self, reason: str, message_id: int | None) -> None:
        super().__init__(reason)
        self.message_id = message_id


def pack(value: object) -> bytes:
    """Pack a value for Kong.

    Raises:
        ValueError, TypeError, OverflowError: it has no MessagePack form.
    """
    packed: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    return packed


def pack_result(message_id: int, result: object) -> bytes:
    """The answer `result` to call `message_id`; raises as `pack`."""
    return pack([1, message_id, None, result])


def pack_error(message_id: int, reason: str) -> bytes:
    """The error answer `reason` to call `message_id`."""
    return pack([1, message_id, reason, None])


class FrameReader:
    """Cuts a byte stream into requests.

    Args:
        max_message_bytes: larger messages raise WireError; bounds the memory of one connection.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._limit = max_message_bytes
        self._head = b""
        self._reset()

    def _reset(self) -> None:
        self._unpacker = msgpack.Unpacker(
            unicode_errors="surrogateescape",
            strict_map_key=False,
            max_buffer_size=self._limit + (1 << 20),
            read_size=_BUFFER_BYTES,
        )
        self._fed = 0  # stream offset of what was fed
        self._begin = 0  # stream offset of the message that is not complete yet

    def feed(self, data: bytes) -> Iterator[RpcRequest]:
        """Take bytes in any cut, yield the requests they complete.

        Raises:
            WireError: the stream is not what Kong sends, or a message is over the limit.
        """
        start, unpacker = self._fed, self._unpacker
        self._fed += len(data)
        try:
            unpacker.feed(data)
            for message in unpacker:
                self._begin = unpacker.tell()
                self._head = b""
                yield self._request(message)
        except WireError:
            raise
        # msgpack raises many unrelated classes for bad input (ValueError, BufferFull, StackError).
        except Exception as error:  # noqa: BLE001
            self._note_head(data, start)
            raise WireError(type(error).__name__, self._head_id()) from None
        self._note_head(data, start)
        if self._fed == self._begin and self._fed > _RENEW_BYTES:
            self._reset()  # msgpack's buffer never shrinks
        if self._fed - self._begin > self._limit:
            raise WireError("message too large", self._head_id())

    def _note_head(self, data: bytes, start: int) -> None:
        """Keep the first bytes of the message that is still incomplete."""
        if len(self._head) < _HEAD_BYTES:
            offset = max(0, self._begin - start)
            self._head += data[offset : offset + _HEAD_BYTES - len(self._head)]

    def _head_id(self) -> int | None:
        head = msgpack.Unpacker()
        head.feed(self._head)
        try:
            if head.read_array_header() != 4 or head.unpack() != 0:
                return None
            message_id = head.unpack()
        except Exception:  # noqa: BLE001 - as above: any class, and any of them means unreadable
            return None
        return message_id if isinstance(message_id, int) else None

    def _request(self, message: object) -> RpcRequest:
        match message:
            case [0, int(message_id), str(method), [argument]]:
                return RpcRequest(message_id, method, argument)
            case [0, int(message_id), str(method), []]:
                return RpcRequest(message_id, method, None)
            case [0, int(message_id), list(), [{"EventId": _} as argument]]:
                # Kong takes a header `_method` for the name of the step that brings the headers
                # (mp_rpc.lua, get_step_method).
                return RpcRequest(message_id, STEP, argument)
            case [_, int(message_id), *_]:
                raise WireError("not a request", message_id)
        raise WireError("not a message", None)
