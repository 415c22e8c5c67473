"""The part of the Workers JavaScript API that promptward_worker uses, typed by hand.

Sources: https://developers.cloudflare.com/workers/runtime-apis/ and the WHATWG Fetch, Streams and
W3C Web Cryptography specifications.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from pyodide.ffi import JsBuffer, JsNull, JsProxy

class Options(JsProxy):
    """A plain object."""

    def __setattr__(self, name: str, value: object) -> None: ...

class ReadableStream(JsProxy):
    def pipeTo(self, writable: WritableStream) -> Awaitable[None]: ...
    def cancel(self) -> Awaitable[None]: ...

class WritableStream(JsProxy): ...

class TransformStream(JsProxy):
    readable: ReadableStream
    writable: WritableStream
    @staticmethod
    def new(transformer: Options) -> TransformStream: ...

class TransformController(JsProxy):
    def enqueue(self, chunk: JsProxy) -> None: ...
    def terminate(self) -> None: ...

class Headers(JsProxy): ...

class Error(JsProxy):
    @staticmethod
    def new(message: str) -> Error: ...

class Request(JsProxy):
    method: str
    url: str
    headers: Headers
    body: ReadableStream | JsNull
    def arrayBuffer(self) -> Awaitable[JsBuffer]: ...

class Response(JsProxy):
    status: int
    headers: Headers
    body: ReadableStream | JsNull
    @staticmethod
    def new(body: JsProxy | None, init: Options) -> Response: ...
    def arrayBuffer(self) -> Awaitable[JsBuffer]: ...

class Resolvers(JsProxy):
    promise: Awaitable[Any]
    def resolve(self, value: object = ...) -> None: ...
    def reject(self, reason: JsProxy) -> None: ...

class Promise:
    @staticmethod
    def withResolvers() -> Resolvers: ...

class Fetcher(JsProxy): ...

Wake = Callable[..., None]

class SqlStorage(JsProxy): ...

class Border(JsProxy):
    """promptward_worker/border.mjs."""

    wait: Callable[[Awaitable[object], float, Wake], None]
    respond: Callable[[JsProxy | None, str], Response]
    readRequest: Callable[[Request, int, Wake], None]
    readBody: Callable[[Request | Response, int, Wake], None]
    send: Callable[[Fetcher | None, str, str, JsProxy | None, int, float, Wake], None]
    fetchDocument: Callable[[str, str, JsProxy | None, int, int, float, Wake], None]
    callObject: Callable[[LedgerNamespace, str, str, str, float, Wake], None]
    def sqlRows(self, sql: SqlStorage, statement: str, *values: str | float | None) -> str: ...
    def sqlRun(self, sql: SqlStorage, statement: str, *values: str | float | None) -> None: ...

class KvNamespace(JsProxy):
    def get(self, key: str) -> Awaitable[str | JsNull]: ...
    def put(self, key: str, value: str, options: Options) -> Awaitable[None]: ...

class LedgerStub(JsProxy):
    def entries(self, text: str) -> Awaitable[str]: ...

class LedgerNamespace(JsProxy):
    def getByName(self, name: str) -> LedgerStub: ...

class Env(JsProxy):
    """Bindings and variables; one that is not configured is missing."""

    POLICIES: KvNamespace
    LEDGER: LedgerNamespace
    ORIGIN: Fetcher

class CryptoKey(JsProxy): ...

class SubtleCrypto(Protocol):
    def importKey(
        self, format: str, key: JsProxy, algorithm: JsProxy, extractable: bool, usages: JsProxy
    ) -> Awaitable[CryptoKey]: ...
    def verify(
        self, algorithm: JsProxy, key: CryptoKey, signature: JsProxy, data: JsProxy
    ) -> Awaitable[bool]: ...

class Crypto(Protocol):
    subtle: SubtleCrypto

class Console(Protocol):
    def log(self, text: str) -> None: ...

class SearchParams(JsProxy):
    def get(self, name: str) -> str: ...

class URL(JsProxy):
    searchParams: SearchParams
    host: str
    pathname: str
    search: str
    @staticmethod
    def new(text: str) -> URL: ...

class JSON:
    @staticmethod
    def parse(text: str) -> Options: ...

class Date:
    @staticmethod
    def now() -> int: ...

class ExecutionContext(Protocol):
    def waitUntil(self, work: Awaitable[object]) -> None: ...

crypto: Crypto
console: Console

def fetch(resource: str, init: Options) -> Awaitable[Response]: ...
