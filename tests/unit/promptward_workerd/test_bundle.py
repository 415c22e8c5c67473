"""The Pyodide bundle."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from promptward_workerd.bundle import BUNDLE_NAME, BundleError, write_bundle

GLUE = (
    "new WebAssembly.Module(x);new WebAssembly.Module(y);"
    "crypto.getRandomValues(b);export default _createPyodideModule;"
)


def package(path: Path, glue: str = GLUE) -> Path:
    path.mkdir()
    (path / "pyodide.asm.mjs").write_text(glue)
    (path / "pyodide.asm.wasm").write_bytes(b"\0asm")
    (path / "python_stdlib.zip").write_bytes(b"PK-stdlib")
    return path


def modules(message: bytes) -> list[tuple[int, int, str, bytes]]:
    """Read the Cap'n Proto message back: (type, kind, name, content) of each module."""
    segments, words = struct.unpack_from("<II", message)
    assert segments == 0
    body = message[8:]
    assert len(body) == words * 8

    def word(at: int) -> int:
        return int(struct.unpack_from("<Q", body, at * 8)[0])

    def blob(at: int) -> bytes:
        pointer = word(at)
        assert pointer & 3 == 1
        start = at + 1 + ((pointer & 0xFFFFFFFF) >> 2)
        return body[start * 8 : start * 8 + (pointer >> 35)]

    assert word(0) == 1 << 48
    tag = 2
    count = (word(tag) & 0xFFFFFFFF) >> 2
    found = []
    for at in range(tag + 1, tag + 1 + 5 * count, 5):
        data = word(at)
        name = blob(at + 1)
        assert name.endswith(b"\0")
        found.append((data & 0xFFFF, data >> 16 & 0xFFFF, name[:-1].decode(), blob(at + 2)))
    return found


def test_the_bundle_holds_three_internal_modules(tmp_path: Path) -> None:
    written = write_bundle(package(tmp_path / "pyodide"), tmp_path / "out")
    assert written.name == BUNDLE_NAME
    found = modules(written.read_bytes())
    assert [(kind, name.partition(":")[2]) for _, kind, name, _ in found] == [
        (0, "pyodide.asm"),
        (1, "pyodide.asm.wasm"),
        (2, "python_stdlib.zip"),
    ]
    assert {kind for kind, *_ in found} == {2}
    assert found[1][3] == b"\0asm"
    assert found[2][3] == b"PK-stdlib"


def test_the_glue_asks_workerd_for_wasm_and_entropy(tmp_path: Path) -> None:
    written = write_bundle(package(tmp_path / "pyodide"), tmp_path / "out")
    glue = modules(written.read_bytes())[0][3].decode()
    assert glue.startswith("import {getRandomValues, newWasmModule}")
    assert "WebAssembly.Module" not in glue
    assert "crypto." not in glue
    assert glue.endswith("export{_createPyodideModule};")


@pytest.mark.parametrize(
    "glue", ["", GLUE.replace("crypto.getRandomValues(", "random("), GLUE + GLUE]
)
def test_another_pyodide_is_refused(glue: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="needs other patches"):
        write_bundle(package(tmp_path / "pyodide", glue), tmp_path / "out")
