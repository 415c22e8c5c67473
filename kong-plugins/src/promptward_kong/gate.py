"""Put the Lua gate where Kong looks for plugins: `DIR/kong/plugins/promptward-gate/`."""

from __future__ import annotations

from pathlib import Path

FILES = ("handler.lua", "schema.lua")
_NAME = "promptward-gate"


def gate_source() -> Path:
    """The gate's folder: in the installed package, or in the checkout of an editable install."""
    here = Path(__file__).parent
    for place in (here / _NAME, here.parents[1] / _NAME):
        if all((place / name).is_file() for name in FILES):
            return place
    raise FileNotFoundError("the gate's Lua files are not part of this installation")


def install_gate(directory: Path) -> Path:
    """Copy the gate under `directory`; returns the folder made.

    Kong finds it with `lua_package_path = DIR/?.lua;;`.

    Raises:
        OSError: the files cannot be read or written.
    """
    source = gate_source()
    target = directory / "kong" / "plugins" / _NAME
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (target / name).write_bytes((source / name).read_bytes())
    return target
