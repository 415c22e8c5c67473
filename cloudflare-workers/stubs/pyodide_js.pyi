"""Pyodide itself, as JavaScript sees it."""

class Memory:
    byteLength: int

class Module:
    HEAP8: Memory

_module: Module
