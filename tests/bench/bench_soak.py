"""How the memory of a service grows over 100,000 requests, next to a service that does nothing.

    make bench ARGS=soak          (or: python tests/bench/bench_soak.py [--requests N])

The same Envoy and load for four services at once: one that does nothing, as ext_authz and as
ext_proc, and ours with the demo policy, its memory of texts on and every text new. Resident memory
(VmRSS) is read after each tenth; growth is counted from the first tenth on, when caches and arenas
are full. What a service that does nothing grows by is the library's: grpc.aio leaks what a call
still waited for when it was cancelled (github.com/grpc/grpc/issues/43360), and Envoy cancels every
ext_proc stream.

It takes some minutes, so it only runs when it is named.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import bench_envoy as envoy
from bench_envoy import Running

REQUESTS = 100_000
NAMES = ("noop ext_authz", "noop ext_proc", "ext_authz", "ext_proc + redaction")
# Growth below this is noise of an allocator: arenas of 256 KiB, thread caches.
FLAT_MB = 1.0


def measure(requests: int = REQUESTS) -> dict[str, Any]:
    """Resident memory of every service after each tenth of `requests`."""
    variants = [v for v in envoy.VARIANTS if v.name in NAMES]
    samples: dict[str, list[float]] = {name: [] for name in NAMES}
    with envoy.running(variants, remembers=True) as targets, ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            list(pool.map(lambda target: envoy.load(target, 8, requests // 10), targets))
            for target in targets:
                samples[target.variant.name].append(_resident_mb(target))
    return {"requests": requests, "rss_mb": samples}


def _resident_mb(target: Running) -> float:
    assert target.service is not None
    return round(envoy.memory_mb(target.service, "VmRSS"), 2)


def table(result: dict[str, Any]) -> str:
    """Markdown, and whether ours stay flat."""
    counted = result["requests"] * 9 // 10
    rows = [
        {
            "service": name,
            "MB after 10 %": seen[0],
            "MB at the end": seen[-1],
            "growth MB": round(seen[-1] - seen[0], 2),
            "bytes a request": round((seen[-1] - seen[0]) * 2**20 / counted),
        }
        for name, seen in result["rss_mb"].items()
    ]
    return "\n".join([*envoy.markdown(rows), "", *_verdicts(rows, counted)])


def _verdicts(rows: list[dict[str, Any]], counted: int) -> list[str]:
    ours = [row for row in rows if not row["service"].startswith("noop")]
    return [
        f"{row['service']} over {counted} requests: {row['growth MB']:+.2f} MB, flat is"
        f" {FLAT_MB}: {'met' if row['growth MB'] <= FLAT_MB else 'MISSED'}"
        for row in ours
    ]


def main(argv: list[str]) -> int:
    """Run this bench alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    print(table(measure(parser.parse_args(argv).requests)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
