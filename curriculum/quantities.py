"""Amounts of CPU and memory as Kubernetes writes them: ``250m``, ``1.5``, ``512Mi``, ``2G``."""

import re
from fractions import Fraction

CPU_PATTERN = r"^([0-9]{1,6}m|[0-9]{1,6}(\.[0-9]{1,3})?)$"
MEMORY_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
"""Kubernetes takes more spellings, such as exponents and thousandths of a byte; nobody needs them.
"""

_PARTS = re.compile(r"(?P<number>[0-9.]+)(?P<suffix>[A-Za-z]*)")
_DECIMAL = {suffix: Fraction(1000) ** power for power, suffix in enumerate("kMGTPE", 1)}
_BINARY = {f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}
_FACTORS = {"": Fraction(1), "m": Fraction(1, 1000), **_DECIMAL, **_BINARY}


def amount(quantity: str) -> Fraction:
    """Return how much a text that fits one of the patterns means, in cores or bytes."""
    parts = _PARTS.fullmatch(quantity)
    if parts is None:
        raise ValueError(f"not a quantity: {quantity!r}")
    return Fraction(parts["number"]) * _FACTORS[parts["suffix"]]
