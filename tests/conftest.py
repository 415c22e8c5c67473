"""Options of the whole suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        choices=["docker", "native", "auto"],
        help="where tests/integration/stacks runs its stacks; may be repeated"
        " (default: IT_BACKEND, or auto: docker when an engine and compose answer, else native)",
    )
