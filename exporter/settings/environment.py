"""Reads environment variables: ignores surrounding whitespace and rejects invalid values."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from exporter.settings.model import ENV_PREFIX, SECTIONS, Settings
from exporter.settings.problems import Problem
from exporter.settings.values import mistake

FILE_VARIABLE = f"{ENV_PREFIX}CONFIG__FILE"
# Kubernetes sets these in every pod beside a Service named together-exporter, together-exporter-eu and so on.
SERVICE_LINK = re.compile(rf"{ENV_PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


def value(environ: Mapping[str, str], variable: str) -> str | None:
    """Returns the value without surrounding whitespace, or None if the variable is not set. Raises ValueError with a
    hint."""
    text = environ.get(variable)
    if text is None:
        return None
    text = text.strip()
    if not text:
        raise ValueError("is empty; set it, or unset it")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("is not UTF-8 text; set it again as UTF-8")
    if reason := mistake(text):
        raise ValueError(reason)
    return text


def settings(environ: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """Returns the variables that set a configuration key, by name, and one problem for each invalid variable."""
    values, problems = {}, []
    known_variables = set(_known_variables())
    for name in sorted(environ):
        if not name.upper().startswith(ENV_PREFIX) or SERVICE_LINK.fullmatch(name):
            continue
        if name not in known_variables and not name.startswith(OPEN_ENDED):
            problems.append(Problem(_shown(name), "", _unknown(name, known_variables)))
            continue
        try:
            values[name] = value(environ, name) or ""
            if name in JSON_VARIABLES:
                _check_json(values[name])
        except ValueError as error:
            values.pop(name, None)
            problems.append(Problem(name, "", str(error)))
    values.pop(FILE_VARIABLE, None)
    return values, problems


def _check_json(text: str) -> None:
    try:
        has_null = _has_null(json.loads(text))
    except (ValueError, RecursionError):
        raise ValueError("is not valid JSON; lists and maps must be JSON, see docs/configuration.md") from None
    if has_null:
        raise ValueError("contains a null; set a value, or remove the key")


def _has_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list) else value is None


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _unknown(name: str, known_variables: set[str]) -> str:
    same = {_plain(each): each for each in known_variables}
    near = difflib.get_close_matches(_plain(name), same, n=1)
    if near:
        return f"unknown variable; did you mean {same[near[0]]}?"
    return "is not a known variable; unset it, or see the list in docs/configuration.md"


def _plain(name: str) -> str:
    """Returns the name without the prefix and with single underscores."""
    return re.sub("_+", "_", name.upper().removeprefix(ENV_PREFIX))


def _known_variables() -> Iterator[str]:
    yield FILE_VARIABLE
    for path, section in SECTIONS.items():
        if "projects" not in path:  # keys of list items have no variables
            yield from _variables(path, section)


def _variables(path: tuple[str, ...], section: type[BaseModel]) -> Iterator[str]:
    for name in section.model_fields:
        yield ENV_PREFIX + "__".join((*path, name)).upper()


OPEN_ENDED = tuple(
    f"{ENV_PREFIX}{name}__".upper() for name, field in Settings.model_fields.items() if field.default_factory is dict
)
JSON_VARIABLES = frozenset(
    f"{ENV_PREFIX}{name}".upper() for name in ("gpu_hourly_cost", *(path[0] for path in SECTIONS if path))
)
