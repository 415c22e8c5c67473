"""The system's random source."""

from __future__ import annotations

import pytest

from promptward_ports.entropy import SystemEntropy


@pytest.mark.parametrize("size", [1, 16, 64])
def test_size(size: int) -> None:
    assert len(SystemEntropy().token(size)) == size


def test_tokens_differ() -> None:
    assert len({SystemEntropy().token(16) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("size", [-1, 0, 65])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        SystemEntropy().token(size)
