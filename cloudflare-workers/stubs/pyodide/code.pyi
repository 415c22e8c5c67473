"""The part of pyodide.code that promptward_worker uses (https://pyodide.org)."""

from collections.abc import Callable

def relaxed_call(function: Callable[..., object], *arguments: object) -> object: ...
