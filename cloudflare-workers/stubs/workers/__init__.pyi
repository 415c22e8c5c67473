"""The part of workers-runtime-sdk that promptward_worker uses."""

from collections.abc import Awaitable
from typing import Any

import js
from pyodide.ffi import JsProxy

class Storage:
    sql: js.SqlStorage
    def transactionSync(self, callback: JsProxy) -> None: ...

class JsObjectContext:
    storage: Storage

class ObjectContext:
    _ctx: JsObjectContext

class Request:
    js_object: js.Request
    url: str
    def text(self) -> Awaitable[str]: ...

class Response:
    def __init__(self, body: str) -> None: ...

class LedgerStub:
    """The test Worker's object (promptward_workerd.testing.ports_entry)."""

    def call(self, method: str, now_us: str, text: str) -> Awaitable[str]: ...

class LedgerNamespace:
    def getByName(self, name: str) -> LedgerStub: ...

class Env:
    LEDGER: LedgerNamespace

class WorkerEntrypoint:
    env: Env
    ctx: js.ExecutionContext
    def __init__(self, ctx: js.ExecutionContext, env: Env) -> None: ...

class DurableObject:
    env: Env
    ctx: ObjectContext
    def __init__(self, ctx: ObjectContext, env: Env) -> None: ...

def import_from_javascript(name: str) -> Any: ...
