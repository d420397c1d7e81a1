"""Loads the configuration with precedence command line, environment, file, default, and reports all problems at
once."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, PydanticBaseSettingsSource

from exporter.settings import environment, web_config
from exporter.settings import file as config_file
from exporter.settings.environment import FILE_VARIABLE
from exporter.settings.file import ConfigFile, KeyPath
from exporter.settings.keys import is_open
from exporter.settings.model import ENV_PREFIX, SECTIONS, Settings, option_name
from exporter.settings.problems import ConfigError, Problem, message, show_key
from exporter.settings.projects import Project, resolve
from exporter.settings.values import unprintable
from exporter.settings.web_config import WebConfig

KNOWN_KEYS = {section: tuple(model.model_fields) for section, model in SECTIONS.items()}
MAX_REMOVALS = 3  # an item that lost a required key is removed with its list
FILE_KEYS = ("api_key_file", "ca_file")  # of a project; relative to the configuration file's directory


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration."""

    settings: Settings
    projects: tuple[Project, ...]
    file: str
    web: WebConfig = field(default_factory=WebConfig)

    def open_key_files(self) -> list[tuple[str, str]]:
        """Returns (project, file) for each file that contains a project's key and can be read by all users of the
        machine."""
        pairs = zip(self.projects, self.settings.projects, strict=True)
        files = [
            (project.name, project.key.file or (self.file if contents.api_key else "")) for project, contents in pairs
        ]
        return [(name, file) for name, file in files if file and is_open(file)]


def load(options: Mapping[str, Any], file: str | None = None) -> Loaded:
    """`options`: from the command line, nested as in the file. Raises ConfigError with all problems."""
    contents, variables, problems = _sources(file)
    place = _Place(options, variables, contents)
    settings, misfits = _settings(options, variables, contents)
    problems += contents.problems
    problems += [place.problem(*each) for each in misfits if not _is_within(each[0], contents.invalid)]
    if settings is None:
        raise ConfigError(_sorted(problems))
    invalid = frozenset([*contents.invalid, *(path for path, _ in misfits)])
    projects, conflicts = resolve(settings, os.environ, place.problem, invalid)
    problems += conflicts
    web = WebConfig()
    try:
        web = web_config.read(settings.web.config_file) if settings.web.config_file else web
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(_sorted(problems))
    return Loaded(settings, tuple(projects), contents.name, web)


def _sources(file: str | None) -> tuple[ConfigFile, dict[str, str], list[Problem]]:
    variables, problems = environment.settings(os.environ)
    if file is None:
        try:
            file = environment.value(os.environ, FILE_VARIABLE)
        except ValueError as error:
            raise ConfigError([Problem(FILE_VARIABLE, "", str(error))]) from None
    contents = config_file.read_partially(file) if file is not None else ConfigFile()
    _resolve_relative_paths(contents)
    return contents, variables, problems


def _resolve_relative_paths(contents: ConfigFile) -> None:
    """Makes relative paths in the file relative to the file's directory."""
    folder = Path(contents.name).parent
    projects = contents.values.get("projects")
    sections: list[tuple[Any, tuple[str, ...]]] = [
        (each, FILE_KEYS) for each in (projects if isinstance(projects, list) else [])
    ]
    sections.append((contents.values.get("web"), ("config_file",)))
    for section, keys in sections:
        for key in keys:
            if isinstance(section, dict) and isinstance(section.get(key), str) and section[key]:
                section[key] = str(folder / section[key])


def _settings(
    options: Mapping[str, Any], variables: Mapping[str, str], contents: ConfigFile
) -> tuple[Settings | None, list[tuple[KeyPath, str]]]:
    """The settings without the invalid ones, which are listed; None if nothing is left."""
    merged: dict[str, Any] = {}

    class Sourced(Settings):
        @model_validator(mode="before")
        @classmethod
        def _noted(cls, data: dict[str, Any]) -> dict[str, Any]:
            merged.update(data)
            return data

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' signature
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101 - for the type checker
            env_settings.env_vars = {name.lower(): value for name, value in variables.items()}
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=contents.values)

    settings, refused = None, []
    try:
        settings = Sourced(**options)
    except ValidationError as error:
        refused = _refused(error)
    if odd := list(unprintable(merged)):
        refused = [each for each in refused if each[0] and not _is_within(each[0], dict(odd))]
    misfits = [*odd, *refused]
    return (_rest(merged, [path for path, _ in misfits]) if misfits else settings), misfits


class _Rest(Settings):
    """Settings from values that have been merged before."""

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the other sources are not used
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        **_: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _rest(merged: Mapping[str, Any], invalid: Iterable[KeyPath]) -> Settings | None:
    """The settings without the keys that lead to invalid values, so that the others can be checked further."""
    values = copy.deepcopy(dict(merged))
    for _ in range(MAX_REMOVALS):
        for path in invalid:
            _remove(values, path)
        try:
            return _Rest(**values)
        except ValidationError as error:
            invalid = [path for path, _ in _refused(error)]
    return None


def _remove(values: Any, path: KeyPath) -> None:
    """Removes the last key of the path that exists; the list that holds the value if it is an item."""
    last: tuple[dict[Any, Any], Any] | None = None
    for step in path:
        if isinstance(values, dict) and step in values:
            last = values, step
        elif not isinstance(values, list) or not isinstance(step, int) or step >= len(values):
            break
        values = values[step]
    if last is not None:
        last[0].pop(last[1])


def _is_within(path: KeyPath, others: Mapping[KeyPath, str]) -> bool:
    """Returns whether the path equals one of the others or is below one."""
    return any(path[:length] in others for length in range(1, len(path) + 1))


def _refused(error: ValidationError) -> list[tuple[KeyPath, str]]:
    details = error.errors(include_url=False, include_input=False)
    paths = [d["loc"] for d in details]  # a list with invalid items is not also too short
    deepest = [d for d in details if not any(p != d["loc"] and p[: len(d["loc"])] == d["loc"] for p in paths)]
    return [(_path(d["loc"]), message(d, KNOWN_KEYS)) for d in deepest]


def _path(location: tuple[str | int, ...]) -> KeyPath:
    """Removes pydantic's own markers, such as `[key]` for the key of a mapping."""
    return tuple(step for step in location if step != "[key]")


def _sorted(problems: list[Problem]) -> list[Problem]:
    """Each once, sorted by line; problems without a line come first."""
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0)


@dataclass(frozen=True, slots=True)
class _Place:
    """Locates the source that set a key: an option, a variable, or the file and line."""

    options: Mapping[str, Any]
    variables: Mapping[str, str]
    file: ConfigFile

    def problem(self, path: KeyPath, text: str) -> Problem:
        names = [str(step) for step in path]
        if self._is_option(path):
            return Problem(option_name(tuple(names[:2])), "", text)
        for depth in range(len(names), 0, -1):
            variable = ENV_PREFIX + "__".join(names[:depth]).upper()
            if variable in self.variables:
                return Problem(variable, show_key(path) if depth < len(names) else "", text)
        return self.file.problem(path, text)

    def _is_option(self, path: KeyPath) -> bool:
        """Top-level keys and keys of sections have options; keys of list items do not."""
        values: Any = self.options
        for step in path:
            if not isinstance(values, Mapping):
                return True
            if step not in values:
                return False
            values = values[step]
        return bool(path)
