"""Options and help texts of all commands."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NoReturn, get_args, get_origin

from exporter import DOCUMENTATION, __version__
from exporter.cli.rules import add_dashboards, add_rules
from exporter.settings.environment import FILE_VARIABLE
from exporter.settings.model import ENV_PREFIX, SECTIONS, option_name
from exporter.settings.problems import EXIT_CODE
from exporter.simulator import SHIPPED

PROGRAM = "together-exporter"
DESCRIPTION = "Prometheus exporter for Together AI dedicated-container deployments. The default command is serve."
SHELLS = ("bash", "zsh", "fish", "tcsh")

Path = tuple[str, str]
SERVE_OPTIONS: tuple[Path, ...] = (
    ("web", "listen_address"),
    ("web", "telemetry_path"),
    ("web", "route_prefix"),
    ("web", "config_file"),
    ("web", "enable_lifecycle"),
    ("log", "level"),
    ("log", "format"),
    ("shard", "index"),
    ("shard", "total"),
)
POLL_OPTIONS = tuple(path for path in SERVE_OPTIONS if path[0] != "web")
CHOICES: dict[str, tuple[str, ...]] = {
    f"{section}.{name}": get_args(annotation)
    for section, name in SERVE_OPTIONS
    if get_origin(annotation := SECTIONS[section,].model_fields[name].annotation) is Literal
}
GROUPS = {"web": "web", "log": "logging", "shard": "sharding"}

ENVIRONMENT = f"""
environment:
  TOGETHER_API_KEY, TOGETHER_BASE_URL   same as in Together's SDK; the key alone is a complete configuration
  {ENV_PREFIX}...                 any key of the configuration file, e.g. {ENV_PREFIX}POLL_INTERVAL=1m

Precedence: flags, environment, file, defaults.
"""
FAILURES = {  # what exit code 1 means
    "": "the command failed while running",
    "serve": "cannot listen on an address",
    "check": "a poll failed (with --poll)",
    "once": "a poll failed",
    "demo": "cannot listen on an address",
    "simulate": "cannot listen on an address",
    "metrics": "cannot write the output",
    "rules": "cannot write the output",
    "dashboards": "cannot write the output",
    "completion": "cannot write the output",
}
EXIT_CODES = """\
exit codes:
  0  success
  1  {failure}
  2  invalid command line, environment or configuration
"""
EXAMPLES = {
    "": "  TOGETHER_API_KEY=... together-exporter\n  together-exporter --config.file=together-exporter.yml\n"
    "  together-exporter check --poll\n  together-exporter demo",
    "serve": "  TOGETHER_API_KEY=... together-exporter\n  together-exporter --config.file=together-exporter.yml",
    "demo": "  together-exporter demo\n  together-exporter demo --scenario=crashloop --speed=30",
    "simulate": "  together-exporter simulate --scenario=fleet --deployments=100\n"
    "  TOGETHER_API_KEY=any TOGETHER_BASE_URL=http://127.0.0.1:10171 together-exporter",
    "check": "  together-exporter check --config.file=together-exporter.yml\n  together-exporter check --poll\n"
    "  together-exporter check --poll --output=json",
    "once": "  together-exporter once >together.prom.new && mv together.prom.new /var/lib/node_exporter/together.prom",
    "metrics": "  together-exporter metrics",
    "rules": "  together-exporter rules >/etc/prometheus/rules/together.yml\n  together-exporter rules --list\n"
    "  together-exporter rules --threshold=cold_start=20m --for=TogetherDeploymentFailed=5m --format=operator\n"
    "  together-exporter rules --keep-labels=cluster,team --disable=TogetherDeploymentAtMaximum",
    "dashboards": "  together-exporter dashboards /var/lib/grafana/dashboards",
    "completion": "  together-exporter completion bash >/etc/bash_completion.d/together-exporter\n"
    '  together-exporter completion zsh >"${fpath[1]}/_together-exporter"',
}


class Parser(argparse.ArgumentParser):
    """Reports errors in one line, in the format of all other errors."""

    def __init__(self, **shape: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **shape)
        self.commands: Mapping[str, Parser] = {}

    def actions(self) -> list[argparse.Action]:
        return self._actions

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Unknown arguments are reported by the subcommand, so that its options can be suggested."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown and not self.commands:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        invalid, candidates = self._suggestions(message)
        near = difflib.get_close_matches(invalid, candidates, n=1) if invalid else []
        hint = f"did you mean {near[0]}?" if near and near[0] != invalid else f"see {self.prog} --help"
        text = f"{PROGRAM}: {message}; {hint}"
        self.exit(EXIT_CODE, f"{text.encode('unicode_escape', 'replace').decode()}\n")

    def _suggestions(self, message: str) -> tuple[str, list[str]]:
        """The invalid argument and the candidates for a suggestion."""
        if choice := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message):
            return choice[1], re.findall(r"[\w-]+", choice[2])
        invalid = next((re.split("[=:]", word)[0] for word in message.split() if word.startswith("--")), "")
        return invalid, [name for action in self.actions() for name in action.option_strings]


Run = Callable[[argparse.Namespace], int]


def parser(commands: Mapping[str, Run]) -> Parser:
    """`commands`: the function of each command, by name."""
    root = Parser(prog=PROGRAM, description=DESCRIPTION, epilog=_epilog(""))
    root.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    added = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (text, add) in COMMANDS.items():
        command = added.add_parser(name, help=text, description=text, epilog=_epilog(name))
        command.set_defaults(run=commands[name])
        add(command)
        root.commands = {**root.commands, name: command}
    return root


def _epilog(command: str) -> str:
    environment = ENVIRONMENT if command in {"", "serve", "check", "once"} else ""
    exit_codes = EXIT_CODES.format(failure=FAILURES[command])
    return f"examples:\n{EXAMPLES[command]}\n{environment}\n{exit_codes}\nDocumentation: {DOCUMENTATION}"


def add_settings(parser: argparse.ArgumentParser, paths: Sequence[Path]) -> None:
    parser.add_argument_group("configuration").add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        type=_not_empty,
        help=f"Configuration file (YAML); optional if TOGETHER_API_KEY is set. [${FILE_VARIABLE}]",
    )
    groups = {section: parser.add_argument_group(title) for section, title in GROUPS.items() if section in dict(paths)}
    for section, name in paths:
        _add_setting(groups[section], section, name)


def _add_setting(group: argparse._ArgumentGroup, section: str, name: str) -> None:
    field = SECTIONS[section,].model_fields[name]
    choices = CHOICES.get(f"{section}.{name}", ())
    parts = [str(field.description), *([f"One of {', '.join(choices)}."] if choices else []), _default(field.default)]
    shape: dict[str, Any] = {"metavar": name.rsplit("_", 1)[-1].upper(), "type": _not_empty}
    if field.annotation is bool:
        shape = {"action": "store_const", "const": True}
    elif name == "listen_address":
        shape["action"] = "append"
        parts.append("Repeatable.")
    variable = f"{ENV_PREFIX}{section}__{name}".upper()
    text = f"{' '.join(parts)} [${variable}]".replace("%", "%%")
    group.add_argument(option_name((section, name)), dest=f"{section}.{name}", help=text, **shape)


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("requires a value; set one, or remove the option")
    return text


def _default(value: object) -> str:
    if value is None or value == "":
        return "None by default."
    if isinstance(value, tuple):
        return f"Default {', '.join(map(str, value))}."
    return "Off by default." if value is False else f"Default {value}."


def _add_check(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("checking")
    group.add_argument(
        "--poll", action="store_true", help="Poll every deployment once and show what would be exported."
    )
    group.add_argument("--output", choices=("text", "json"), default="text", help="Output format. Default %(default)s.")
    add_settings(parser, SERVE_OPTIONS)


def _add_simulator(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("web")
    group.add_argument(
        "--listen-address",
        default="127.0.0.1:10171",
        metavar="ADDRESS",
        help="Address to listen on. Default %(default)s.",
    )
    group.add_argument("--api-key", metavar="KEY", help="API key to accept. Any key by default.")
    _add_scenario(parser, scenario="steady", speed=1.0)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("web")
    group.add_argument(
        "--web.listen-address",
        dest="listen_address",
        default="127.0.0.1:0",
        metavar="ADDRESS",
        help="Address the exporter listens on; port 0 selects a free port. Default %(default)s.",
    )
    group.add_argument(
        "--simulator.listen-address",
        dest="simulator_address",
        default="127.0.0.1:0",
        metavar="ADDRESS",
        help="Address the simulator listens on. Default %(default)s.",
    )
    parser.add_argument_group("polling").add_argument(
        "--poll-interval", default="1s", metavar="DURATION", help="Interval between polls. Default %(default)s."
    )
    _add_scenario(parser, scenario="fleet", speed=10.0)


def _add_scenario(parser: argparse.ArgumentParser, scenario: str, speed: float) -> None:
    group = parser.add_argument_group("simulation")
    parser.set_defaults(scenario=scenario, speed=speed)
    group.add_argument(
        "--scenario",
        metavar="NAME-OR-FILE",
        help=f"Scenario: {', '.join(SHIPPED)}, or a YAML file. Default {scenario}.",
    )
    group.add_argument("--deployments", type=int, metavar="N", help="Number of deployments in the fleet scenario.")
    group.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="Seed of the random generator; equal seeds give equal runs. Default 1.",
    )
    group.add_argument("--speed", type=float, metavar="X", help=f"Simulated seconds per second. Default {speed:g}.")


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="Shell to complete in.")


COMMANDS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "serve": (
        "Poll deployments and serve /metrics and the status page (default).",
        lambda command: add_settings(command, SERVE_OPTIONS),
    ),
    "check": ("Validate the configuration and report every problem.", _add_check),
    "once": (
        "Poll once and write the metrics to stdout, for the textfile collector or cron.",
        lambda command: add_settings(command, POLL_OPTIONS),
    ),
    "demo": ("Run exporter and simulator together; needs no API key.", _add_demo),
    "simulate": ("Run a simulated Together API for testing.", _add_simulator),
    "metrics": ("Print the metric reference as Markdown.", lambda _: None),
    "rules": ("Print the alerting and recording rules.", add_rules),
    "dashboards": ("Write the Grafana dashboards as JSON files.", add_dashboards),
    "completion": ("Print a shell completion script.", _add_completion),
}
