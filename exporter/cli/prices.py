"""Compares configured prices with the GPU types in use."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from exporter.settings.model import ENV_PREFIX

VARIABLE = f"{ENV_PREFIX}GPU_HOURLY_COST"


def warnings(prices: Mapping[str, float], in_use: AbstractSet[str]) -> Iterator[str]:
    """Warnings about prices of unused GPU types and about GPU types without a price."""
    if not prices:
        return
    for name in sorted(prices.keys() - in_use):
        yield _unused(name, in_use - prices.keys())
    for name in sorted(in_use - prices.keys()):
        yield f"gpu_hourly_cost: GPU type {name} is in use but has no price; add it"


def _unused(name: str, without_price: AbstractSet[str]) -> str:
    """`without_price`: candidates for a suggestion."""
    same = [each for each in without_price if _letters(each) == _letters(name)]
    near = same or difflib.get_close_matches(name, without_price, n=1)
    variable = f"{VARIABLE}__{name}".upper()
    if variable in os.environ:
        meant = near[0] if near else name.replace("_", "-")
        value = os.environ[variable].strip()
        return f"{variable}: {meant} cannot be part of a variable name; use {VARIABLE}='{{\"{meant}\": {value}}}'"
    hint = f"did you mean {near[0]}?" if near else "check how the API spells it"
    return f"gpu_hourly_cost.{name}: GPU type not used by any deployment; {hint}"


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
