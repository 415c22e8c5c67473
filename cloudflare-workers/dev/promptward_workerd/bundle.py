"""Make the Pyodide bundle that workerd loads, from the npm package `pyodide`.

In production workerd downloads a bundle; with the compatibility flag
`python_workers_development` it reads `pyodide_dev.capnp.bin` from a directory instead, and checks
no checksum. workerd carries its own Python glue, so the bundle holds three modules: Pyodide's
Emscripten glue (patched to ask workerd for wasm compilation and entropy), `pyodide.asm.wasm` and
`python_stdlib.zip`.

Invariants: pure function of its input files; fails loudly when a patch does not apply, because
another Pyodide release needs other patches. The pyodide version must be the one the pinned
workerd expects (package.json pins both: workerd 1.20261117.1 wants 314.0.6).

Source: workerd's src/workerd/jsg/modules.capnp (struct Bundle, struct Module) and the Cap'n Proto
encoding specification (https://capnproto.org/encoding.html).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BUNDLE_NAME = "pyodide_dev.capnp.bin"
_PREFIX = "pyodideRuntime-internal:"
_PRELUDE = 'import {getRandomValues, newWasmModule} from "pyodide-internal:builtin_wrappers";\n'
# (old, new, how often `old` must occur; None: at least once). workerd forbids compiling wasm and
# drawing randomness from ordinary JavaScript; its builtin_wrappers module offers both.
_PATCHES: tuple[tuple[str, str, int | None], ...] = (
    ("new WebAssembly.Module", "newWasmModule", None),
    ("crypto.getRandomValues(", "getRandomValues(Module, ", 1),
    (
        "export default _createPyodideModule;",
        "export default _createPyodideModule;export{_createPyodideModule};",
        1,
    ),
)
_INTERNAL_MODULE = 2  # modules.capnp: enum ModuleType, `internal`
_KIND_SOURCE, _KIND_WASM, _KIND_DATA = 0, 1, 2  # modules.capnp: Module's union tags
_BYTE_ELEMENTS = 2  # Cap'n Proto list element sizes
_COMPOSITE_ELEMENTS = 7
_MODULE_DATA_WORDS, _MODULE_POINTERS = 1, 4


class BundleError(Exception):
    """The pyodide package is not one this workerd can load."""


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    kind: int
    content: bytes


def _patched(glue: str) -> str:
    for old, new, expected in _PATCHES:
        found = glue.count(old)
        if found == 0 or (expected is not None and found != expected):
            raise BundleError(
                f"{old!r} occurs {found} times in pyodide.asm.mjs, expected "
                f"{expected or 'at least 1'}: this pyodide release needs other patches"
            )
        glue = glue.replace(old, new)
    return _PRELUDE + glue


class _Message:
    """A single-segment Cap'n Proto message, written word by word."""

    def __init__(self, words: int) -> None:
        self.buffer = bytearray(8 * words)

    def put(self, word: int, value: int) -> None:
        struct.pack_into("<Q", self.buffer, 8 * word, value)

    def list_pointer(self, at: int, target: int, element_size: int, count: int) -> None:
        offset = ((target - at - 1) << 2) & 0xFFFFFFFF
        self.put(at, offset | 1 | (element_size << 32) | (count << 35))

    def append_blob(self, pointer_at: int, blob: bytes) -> None:
        self.list_pointer(pointer_at, len(self.buffer) // 8, _BYTE_ELEMENTS, len(blob))
        self.buffer += blob + b"\0" * (-len(blob) % 8)

    def framed(self) -> bytes:
        return struct.pack("<II", 0, len(self.buffer) // 8) + bytes(self.buffer)


def _encode(modules: Sequence[_Module]) -> bytes:
    """Encode `Bundle(modules)`: root pointer, Bundle's one pointer, list tag, then the structs."""
    size = _MODULE_DATA_WORDS + _MODULE_POINTERS
    root, bundle, tag, first = 0, 1, 2, 3
    message = _Message(first + len(modules) * size)
    message.put(root, 1 << 48)  # struct pointer: offset 0, no data words, one pointer
    message.list_pointer(bundle, tag, _COMPOSITE_ELEMENTS, len(modules) * size)
    message.put(tag, (len(modules) << 2) | (_MODULE_DATA_WORDS << 32) | (_MODULE_POINTERS << 48))
    for index, module in enumerate(modules):
        at = first + index * size
        message.put(at, _INTERNAL_MODULE | (module.kind << 16))
        message.append_blob(at + 1, module.name.encode() + b"\0")
        message.append_blob(at + 2, module.content)
    return message.framed()


def write_bundle(pyodide: Path, out: Path) -> Path:
    """Write the bundle of the npm package at `pyodide` into the directory `out`.

    Returns:
        The bundle file (about 13 MB).

    Raises:
        BundleError: the package is not the release these patches are for.
    """
    modules = [
        _Module(
            _PREFIX + "pyodide.asm",
            _KIND_SOURCE,
            _patched((pyodide / "pyodide.asm.mjs").read_text("utf-8")).encode(),
        ),
        _Module(
            _PREFIX + "pyodide.asm.wasm", _KIND_WASM, (pyodide / "pyodide.asm.wasm").read_bytes()
        ),
        _Module(
            _PREFIX + "python_stdlib.zip",
            _KIND_DATA,
            (pyodide / "python_stdlib.zip").read_bytes(),
        ),
    ]
    out.mkdir(parents=True, exist_ok=True)
    target = out / BUNDLE_NAME
    partial = target.with_suffix(".partial")
    partial.write_bytes(_encode(modules))
    partial.replace(target)
    return target
