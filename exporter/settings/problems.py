"""Problems of a configuration: location, reason and hint. Never contains a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the health check reads files too, and starts every few seconds
    from pydantic_core import ErrorDetails

EXIT_CODE = 2
# Messages without Python terms. Other errors show pydantic's message.
HINTS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys and values",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "missing": "is required; add it",
    "model_type": "must be a mapping of keys and values",
    "string_too_short": "must not be empty; give it a value, or remove it",
    "string_unicode": "has a lone surrogate, which is not a character; remove it",
    "string_type": "must be text; put it in quotes",
    "too_short": "must not be empty; add an item, or remove it",
    "tuple_type": "must be a list",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """`source`: a file, an environment variable or an option. `line`: from 1, None outside a file."""

    source: str
    key: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        text = ": ".join(part for part in (place, self.key, self.message) if part)
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


class ConfigError(Exception):
    """An invalid configuration. The message is its first problem, in one line."""

    exit_code = EXIT_CODE

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = len(self.problems) - 1
        rest = f"; {more} more: run together-exporter check with the same options" if more else ""
        super().__init__(f"{self.problems[0]}{rest}")


def show_key(path: Sequence[str | int]) -> str:
    """Returns `projects[0].name` for ("projects", 0, "name")."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def message(error: ErrorDetails, known_keys: Mapping[tuple[str, ...], Sequence[str]]) -> str:
    """Returns a message with a hint for a pydantic error. `known_keys`: keys of each section, for suggestions."""
    kind = error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"], known_keys)
    if kind == "literal_error":
        return f"must be {error['ctx']['expected']}"
    return HINTS.get(kind, error["msg"].replace("Input should be", "must be"))


def closest(key: str, choices: Iterable[str]) -> str | None:
    """What was probably meant by an unknown key."""
    return next(iter(difflib.get_close_matches(key, list(choices), n=1)), None)


def _unknown_key(path: tuple[Any, ...], known_keys: Mapping[tuple[str, ...], Sequence[str]]) -> str:
    section = tuple(step for step in path[:-1] if isinstance(step, str))
    choices = known_keys.get(section, ())
    near = closest(str(path[-1]), choices)
    if near is not None:
        return f'unknown key; did you mean "{near}"?'
    return f"unknown key; supported keys: {', '.join(choices)}"
