"""The `rules` and `dashboards` commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from exporter.settings import file as config_file
from exporter.settings.file import ConfigFile
from exporter.settings.problems import ConfigError, Problem, message, show_key

if TYPE_CHECKING:
    from exporter.rules.config import RulesConfig

# Option: (key of the configuration, metavar, help). `NAME=VALUE` and lists can be given several times.
PAIRS = {
    "--threshold": ("thresholds", "NAME=VALUE", "Set a threshold, e.g. cold_start=20m; --list shows all."),
    "--for": ("overrides", "ALERT=DURATION", "Set how long an alert's condition must hold before it fires."),
    "--severity": ("overrides", "ALERT=LEVEL", "Set an alert's severity: critical, warning or info."),
    "--label": ("labels", "NAME=VALUE", "Add a label to every alert."),
    "--annotation": ("annotations", "NAME=VALUE", "Add an annotation to every alert."),
}
LISTS = {
    "--disable": ("disabled", "ALERT", "Leave out an alert."),
    "--enable": ("enabled", "ALERT", "Add an alert that is off by default."),
    "--keep-labels": (
        "keep_labels",
        "LABELS",
        "Target labels that alerts keep in addition to their identity labels. Default cluster.",
    ),
    "--deployment-labels": (
        "deployment_labels",
        "LABELS",
        "Your own deployment labels to add to alerts, e.g. team as label_team. None by default.",
    ),
}
LIST_KEYS = frozenset(key for key, _, _ in LISTS.values())
OVERRIDE_DEPTH = 2  # overrides, the alert's name, then the setting


def add_rules(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rules")
    group.add_argument(
        "--config", metavar="FILE", help="YAML file with changes to the rules; its keys are in docs/alerting.md."
    )
    for option, (_, metavar, text) in {**LISTS, **PAIRS}.items():
        group.add_argument(option, action="append", default=[], metavar=metavar, help=text)
    group.add_argument("--runbook-url", metavar="PREFIX", help="URL prefix of the runbooks; ALERT.md is appended.")
    output = parser.add_argument_group("output")
    output.add_argument("--list", action="store_true", help="List every alert with its settings instead.")
    output.add_argument(
        "--format",
        choices=("prometheus", "operator"),
        default="prometheus",
        help="Output format: a rule file, or a PrometheusRule. Default %(default)s.",
    )


def add_dashboards(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", help="Directory to write to; created if missing.")


def rules(options: argparse.Namespace) -> int:
    from exporter.rules.build import build  # noqa: PLC0415 - the daemon does without its imports
    from exporter.rules.output import as_yaml, listed, prometheus_rule  # noqa: PLC0415 - as above

    config = _config(options)
    if options.list:
        sys.stdout.write(listed(config))
    else:
        built = build(config)
        sys.stdout.write(as_yaml(prometheus_rule(built) if options.format == "operator" else built))
    return 0


def dashboards(options: argparse.Namespace) -> int:
    from exporter.rules.boards import boards  # noqa: PLC0415 - the daemon does without its imports

    directory = Path(options.directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in boards().items():
            (directory / name).write_text(text, encoding="utf-8")
            print(directory / name)
    except OSError as error:
        raise ConfigError(
            [Problem(str(error.filename or directory), "", f"cannot be written: {error.strerror}")]
        ) from None
    return 0


def _config(options: argparse.Namespace) -> RulesConfig:
    """Raises ConfigError with every problem of the file and the options."""
    from exporter.rules.config import RulesConfig, conflicts, known_keys  # noqa: PLC0415 - the daemon does without its imports

    file = config_file.read(options.config) if options.config else ConfigFile()
    from_options = _from_options(options)
    problems = []
    for values, place in ((from_options, _option), (file.values, _place_in(file))):
        try:
            RulesConfig.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                path = tuple(step for step in detail["loc"] if step != "[key]")
                problems.append(place(path, message(detail, known_keys())))
    if problems:
        raise ConfigError(problems[:1])  # errors are reported in one line
    config = RulesConfig.model_validate(_merged(file.values, from_options))
    for path, text in conflicts(config):
        raise ConfigError([(_place_in(file) if path in file.lines else _option)(path, text)])
    return config


def _from_options(options: argparse.Namespace) -> dict[str, Any]:
    """Values of the options, nested as in the file."""
    from_options: dict[str, Any] = {}
    for option, (key, metavar, _) in PAIRS.items():
        for text in _values(options, option):
            name, sign, value = text.partition("=")
            if not sign:
                raise ConfigError([Problem(option, "", f'"{text}" has no value; write {metavar}')])
            section = from_options.setdefault(key, {})
            if key == "overrides":
                section.setdefault(name, {})[option.removeprefix("--")] = value
            else:
                section[name] = value
    for option, (key, _, _) in LISTS.items():
        if texts := _values(options, option):
            from_options[key] = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    return from_options if options.runbook_url is None else {**from_options, "runbook_url": options.runbook_url}


def _values(options: argparse.Namespace, option: str) -> list[str]:
    return list(getattr(options, option.removeprefix("--").replace("-", "_")))


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merges mappings recursively; other values of `above` replace those of `below`."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        merged[key] = _merged(below[key], value) if both else value
    return merged


def _option(path: tuple[Any, ...], text: str) -> Problem:
    keys = {key: option for option, (key, _, _) in {**LISTS, **PAIRS}.items() if key != "overrides"}
    option = f"--{path[2]}" if len(path) > OVERRIDE_DEPTH else keys.get(path[0], "--for or --severity")
    return Problem(option, "" if path[0] in LIST_KEYS else show_key(path[1:2]), text)


def _place_in(file: ConfigFile) -> Callable[[tuple[Any, ...], str], Problem]:
    def place(path: tuple[Any, ...], text: str) -> Problem:
        line = next((file.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in file.lines), None)
        return Problem(file.name, show_key(path), text, line)

    return place
