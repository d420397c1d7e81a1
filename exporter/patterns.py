"""Regular expressions in RE2 syntax as in Prometheus, with bounded run time."""

from __future__ import annotations

import functools
from typing import Protocol

import re2

MAX_CACHED = 4096  # compiled patterns


class Compiled(Protocol):
    def fullmatch(self, text: str) -> object | None: ...


@functools.lru_cache(maxsize=MAX_CACHED)
def compiled(pattern: str) -> Compiled:
    """Cached by pattern. Raises ValueError with RE2's reason."""
    options = re2.Options()
    options.log_errors = False  # would be written to stderr
    try:
        expression: Compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise ValueError(f"is not a regular expression: {reason}; write it in RE2 syntax, as in Prometheus") from None
    return expression


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern matches the entire name."""
    return compiled(pattern).fullmatch(name) is not None
