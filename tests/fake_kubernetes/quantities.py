"""Amounts of resources.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(
    r"[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+)?"
)
_FACTORS = {suffix: Decimal(1024) ** (n + 1) for n, suffix in enumerate("KMGTPE")}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}

TEXT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def is_quantity(value: object) -> bool:
    """Say whether a value is an amount."""
    return _QUANTITY.fullmatch(str(value)) is not None


def amount(value: object) -> Decimal:
    """Return an amount as a number."""
    text = str(value)
    if text.endswith("i"):
        return Decimal(text[:-2]) * _FACTORS[text[-2]]
    if text[-1] in _DECIMAL:
        return Decimal(text[:-1]).scaleb(_DECIMAL[text[-1]])
    return Decimal(text)


def written(value: Decimal) -> str:
    """Write a number as an amount."""
    if value == value.to_integral_value():
        return str(int(value))
    return f"{int(value * 1000)}m"
