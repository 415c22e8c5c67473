"""Operators: what is put in the place of a recognised value.

Detecting is not transforming: an operator knows the entity and the value, never the text around.
"""

from __future__ import annotations

from promptward.operators.edits import Edit, EditingChannel, render
from promptward.operators.hashing import Hash
from promptward.operators.mask import Mask
from promptward.operators.operator import Operator
from promptward.operators.pseudonymize import Placeholders, Pseudonymize, Restorer
from promptward.operators.redact import Redact

__all__ = [
    "Edit",
    "EditingChannel",
    "Hash",
    "Mask",
    "Operator",
    "Placeholders",
    "Pseudonymize",
    "Redact",
    "Restorer",
    "render",
]
