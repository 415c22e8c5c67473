"""Models that a policy lets through, that a cost budget counts, and that have no price.

Sound, not complete: whatever may be without a price is named, and now and then a glob is named of
which every model has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from promptward.auth.globs import GlobSet, is_wild
from promptward.pricing.table import PriceTable


def unpriced_models(
    allowed: Iterable[str], counted: Iterable[str], prices: PriceTable
) -> Iterator[str]:
    """Names and globs out of `allowed` of which a model that `counted` matches may have no price.

    Args:
        allowed: model globs of authorization.
        counted: model globs of a cost budget.
        prices: the policy's prices.
    """
    globs = tuple(dict.fromkeys(counted))
    for name in dict.fromkeys(allowed):
        if prices.covers(name):
            continue
        if any(_may_overlap(name, glob) and not prices.covers(glob) for glob in globs):
            yield name


def _may_overlap(one: str, other: str) -> bool:
    if not is_wild(one):
        return GlobSet((other,)).matches(one)
    if not is_wild(other):
        return GlobSet((one,)).matches(other)
    head, other_head = _head(one), _head(other)
    return head.startswith(other_head) or other_head.startswith(head)


def _head(glob: str) -> str:
    return glob.replace("?", "*").partition("*")[0]
