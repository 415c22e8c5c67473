"""`make bench`: run every bench that this machine can run; write JSON and tables.

usage: run.py [core|budgets|ledger|envoy|kong|worker|soak ...]     (by default all but soak)
Results go to tests/bench/out/: one JSON file a bench, and tables.md with the machine beside them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
OUT = HERE / "out"
LONG = frozenset({"soak"})  # minutes each


def available() -> dict[str, Path]:
    """Bench name -> file."""
    return {p.stem.removeprefix("bench_"): p for p in sorted(HERE.glob("bench_*.py"))}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def load(name: str, path: Path) -> ModuleType:
    """Import a bench by path."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(names: list[str]) -> int:
    """Run the named benches."""
    benches = available()
    unknown = [n for n in names if n not in benches]
    if unknown:
        print(f"unknown bench {', '.join(unknown)}; there are {', '.join(benches)}")
        return 2
    OUT.mkdir(exist_ok=True)
    where = machine()
    tables = [f"machine: {json.dumps(where)}"]
    for name in names or [name for name in benches if name not in LONG]:
        print(f"== {name}", flush=True)
        module = load(name, benches[name])
        result = module.measure()
        (OUT / f"{name}.json").write_text(
            json.dumps({"machine": where, "result": result}, indent=1)
        )
        text = module.table(result)
        print(text, flush=True)
        tables.append(text)
    (OUT / "tables.md").write_text("\n\n".join(tables) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
