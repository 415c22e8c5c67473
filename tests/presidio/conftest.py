"""Tests against the real presidio-analyzer: 400 MB, so only where it is installed.

make test-presidio
"""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("presidio_analyzer") else ["test_real_presidio.py"]
