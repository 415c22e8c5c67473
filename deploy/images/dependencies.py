"""Print what the named distributions require, without the distributions of this repository.

    python3 deploy/images/dependencies.py shared[ports,redis] envoy-ext-authz

A Dockerfile installs these before it copies any source, so that a changed line of code does not
install everything again. Standard library only: it runs in a bare Python image.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_FOLDER = re.compile(r"(?P<name>[a-z-]+)(?:\[(?P<extras>[a-z,]+)\])?")
_OURS = re.compile(r"promptward(-[a-z]+)?(\[|=|$)")


def requirements(argument: str) -> list[str]:
    """The requirements of one folder, with the extras named in brackets.

    Raises:
        ValueError: not the name of a folder.
    """
    parsed = _FOLDER.fullmatch(argument)
    if parsed is None:
        raise ValueError(f"expected folder or folder[extra,extra], not {argument!r}")
    project = tomllib.loads(Path(parsed["name"], "pyproject.toml").read_text("utf-8"))["project"]
    found: list[str] = list(project.get("dependencies", ()))
    for extra in filter(None, (parsed["extras"] or "").split(",")):
        found += project["optional-dependencies"][extra]
    return [line for line in found if not _OURS.match(line)]


if __name__ == "__main__":
    lines = {line for argument in sys.argv[1:] for line in requirements(argument)}
    sys.stdout.write("".join(f"{line}\n" for line in sorted(lines)))
