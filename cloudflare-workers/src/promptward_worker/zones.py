"""Time zones for calendar-aligned budgets.

Pyodide has no zone database and Cloudflare's bundles none; the build step puts PyPI's `tzdata` into
one archive beside the vendored packages, and Python imports from archives.
"""

from __future__ import annotations

import sys
from pathlib import Path

import promptward

ARCHIVE = "tzdata.zip"


def install() -> None:
    """Let `zoneinfo` find the archive; idempotent, reads nothing."""
    archive = str(Path(promptward.__file__).parents[1] / ARCHIVE)
    if archive not in sys.path:
        sys.path.append(archive)
