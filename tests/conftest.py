"""Settings and options of the whole suite."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a property (no deadline), and a CI run must be repeatable: there the
# examples are the same every time; on a laptop each run tries new ones.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("laptop"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "laptop")

# Suites for a real Kong, which no package registry has: there only when one is given, so that in a
# run without one nothing is skipped and nothing pretends to have been tested.
REAL_KONG = ("KONG_ADMIN_URL", "KONG_PROXY_URL")
collect_ignore = (
    []
    if all(name in os.environ for name in REAL_KONG)
    else ["conformance/test_real_kong.py", "integration/kong/test_real_kong.py"]
)


def pytest_report_header() -> str:
    """Say what this run leaves out."""
    absent = f"not given ({' and '.join(REAL_KONG)})" if collect_ignore else "given"
    return f"real Kong: {absent}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        choices=["docker", "native", "auto"],
        help="where tests/integration/stacks runs its stacks; may be repeated"
        " (default: IT_BACKEND, or auto: docker when an engine and compose answer, else native)",
    )
