"""Detects invalid text in configured values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

KeyPath = tuple[str | int, ...]

UNEXPANDED = re.compile(r"\$\{[A-Za-z_]\w*[^}]*\}|^\$\(\w+\)$|^\$[A-Za-z_]\w*$")
MIN_QUOTED = 2  # characters
# Some parsers of /metrics end a line at a control character; a lone surrogate has no UTF-8 form.
NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def mistake(text: str) -> str | None:
    """Returns the reason why a value is invalid, with a hint, or None. Never contains the value, which may be a
    secret."""
    if len(text) >= MIN_QUOTED and text[0] == text[-1] and text[0] in "\"'":
        return "has quotes around its value, as docker --env-file keeps them; remove the quotes"
    if UNEXPANDED.search(text):
        return "contains an unexpanded variable reference; write the value itself"
    return None


def unprintable(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yields the paths of keys and texts with characters that are not allowed anywhere, with a hint."""
    if isinstance(value, str):
        if match := NO_TEXT.search(value):
            kind = "lone surrogate" if "\ud800" <= match[0] <= "\udfff" else "control character"
            yield path, f"has a {kind} (U+{ord(match[0]):04X}); remove it"
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from unprintable(key, (*path, key))
            if not (key == "api_key" and _is_project(path)):  # it may end in a line feed, as a file with a key does
                yield from unprintable(below, (*path, key))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from unprintable(below, (*path, index))


def _is_project(path: KeyPath) -> bool:
    return path[:1] == ("projects",) and len(path) == len(("projects", 0))
