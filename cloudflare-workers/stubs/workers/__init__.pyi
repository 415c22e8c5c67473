"""The part of workers-runtime-sdk that promptward_worker uses."""

from collections.abc import Awaitable, Iterator

import js

class KvNamespace:
    def get(self, key: str) -> Awaitable[str | None]: ...
    def put(self, key: str, value: str, *, expirationTtl: int = ...) -> Awaitable[None]: ...

class LedgerStub:
    def reserve(self, text: str) -> Awaitable[str]: ...
    def settle(self, text: str) -> Awaitable[str]: ...

class LedgerNamespace:
    def getByName(self, name: str) -> LedgerStub: ...

class Fetcher:
    _binding: js.JsProxy

class Env:
    POLICIES: KvNamespace
    LEDGER: LedgerNamespace
    ORIGIN: Fetcher
    def __getattr__(self, name: str) -> str: ...

class SqlCursor:
    def raw(self) -> Iterator[list[str | int | float | None]]: ...

class SqlStorage:
    def exec(self, statement: str, *values: str | int | float | None) -> SqlCursor: ...

class Storage:
    sql: SqlStorage

class ObjectContext:
    storage: Storage

class Request:
    js_object: js.Request

class WorkerEntrypoint:
    env: Env
    ctx: js.ExecutionContext
    def __init__(self, ctx: js.ExecutionContext, env: Env) -> None: ...

class DurableObject:
    env: Env
    ctx: ObjectContext
    def __init__(self, ctx: ObjectContext, env: Env) -> None: ...
