"""The part of pyodide.ffi that promptward_worker uses (https://pyodide.org)."""

from collections.abc import Callable

class JsException(Exception):
    name: str
    message: str

class JsNull: ...

class JsProxy:
    def destroy(self) -> None: ...

class JsBuffer(JsProxy):
    byteLength: int
    def to_bytes(self) -> bytes: ...

def to_js(value: bytes | list[str]) -> JsProxy: ...
def create_once_callable(value: Callable[..., None]) -> JsProxy: ...
def create_proxy(value: Callable[..., None]) -> JsProxy: ...
