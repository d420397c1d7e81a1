"""Command line over environment over file over defaults, read in one go with all problems at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsError

from exporter.settings import file as config_file
from exporter.settings import web_config
from exporter.settings.file import ConfigFile, KeyPath
from exporter.settings.keys import is_open
from exporter.settings.model import ENV_PREFIX, SECTIONS, Settings, option_name
from exporter.settings.problems import ConfigError, Problem, message, show_key
from exporter.settings.projects import Project, resolve
from exporter.settings.web_config import WebConfig

FILE_VARIABLE = f"{ENV_PREFIX}CONFIG__FILE"
# What Kubernetes sets in every pod beside a Service named together-exporter.
SERVICE_LINK = re.compile(f"{ENV_PREFIX}(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_.*)?)")
KNOWN_KEYS = {section: tuple(model.model_fields) for section, model in SECTIONS.items()}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be run."""

    settings: Settings
    projects: tuple[Project, ...]
    file: str
    web: WebConfig = field(default_factory=WebConfig)

    def open_key_files(self) -> list[tuple[str, str]]:
        """(project, file) for each file that holds a project's key and that everyone on the machine can read."""
        given = zip(self.projects, self.settings.projects, strict=True)
        files = [(project.name, project.key.file or (self.file if said.api_key else "")) for project, said in given]
        return [(name, file) for name, file in files if file and is_open(file)]


def load(options: Mapping[str, Any], file: str | None = None) -> Loaded:
    """`options`: what the command line gave, nested as in the file. Raises ConfigError with every problem found."""
    name = file or os.environ.get(FILE_VARIABLE)
    given = config_file.read(name) if name else ConfigFile()
    problems = list(_unknown_variables(os.environ))
    try:
        settings = _settings(options, given)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        paths = [d["loc"] for d in details]  # a list whose items are wrong is not, for that, too short
        deepest = [d for d in details if not any(p != d["loc"] and p[: len(d["loc"])] == d["loc"] for p in paths)]
        problems += [_problem(_path(d["loc"]), message(d, KNOWN_KEYS), options, given) for d in deepest]
        raise ConfigError(problems) from None
    except SettingsError as error:
        raise ConfigError([*problems, Problem(_variable(error), "", "is not the JSON that a list needs")]) from None
    projects, misfits = resolve(settings, os.environ)
    problems += [_problem(path, hint, options, given) for path, hint in misfits]
    web = WebConfig()
    try:
        web = web_config.read(settings.web.config_file) if settings.web.config_file else web
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Loaded(settings, tuple(projects), given.name, web)


def _settings(options: Mapping[str, Any], given: ConfigFile) -> Settings:
    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' signature
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=given.values)

    return Sourced(**options)


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Problem]:
    """A mistyped variable must not pass in silence either; nested keys are refused by the settings themselves."""
    known = {f"{ENV_PREFIX}{key.upper()}" for key in Settings.model_fields}
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or name == FILE_VARIABLE or SERVICE_LINK.fullmatch(name):
            continue
        if name.split("__")[0] not in known:
            text = message({"type": "extra_forbidden", "loc": (_key(name),), "msg": "", "input": ""}, KNOWN_KEYS)
            yield Problem(name, "", text.replace("key", "setting", 1))


def _key(variable: str) -> str:
    return variable.removeprefix(ENV_PREFIX).lower()


def _path(location: tuple[str | int, ...]) -> KeyPath:
    """Without pydantic's own marks, such as the `[key]` of a mapping's key."""
    return tuple(step for step in location if step != "[key]")


def _problem(path: KeyPath, text: str, options: Mapping[str, Any], given: ConfigFile) -> Problem:
    """Names the place that set the key: an option, a variable, or the file with its line."""
    names = [str(step) for step in path]
    if _reaches(options, path):
        return Problem(option_name(tuple(names)), "", text)
    for depth in range(len(names), 0, -1):
        variable = ENV_PREFIX + "__".join(names[:depth]).upper()
        if variable in os.environ:
            return Problem(variable, show_key(path) if depth < len(names) else "", text)
    line = next((given.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in given.lines), None)
    return Problem(given.name, show_key(path), text, line)


def _reaches(values: Any, path: KeyPath) -> bool:
    for step in path:
        if not isinstance(values, Mapping) or step not in values:
            return False
        values = values[step]
    return bool(path)


def _variable(error: SettingsError) -> str:
    match = re.search(r'field "(\w+)"', str(error))
    return f"{ENV_PREFIX}{match[1].upper()}" if match else ENV_PREFIX
