"""The commands: their options, their output, their exit codes."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import functools
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NoReturn, TypeVar

import uvloop

from exporter import __version__
from exporter.daemon import Daemon
from exporter.instrumentation import described
from exporter.metrics.reference import reference
from exporter.settings.durations import show
from exporter.settings.load import Loaded, load
from exporter.settings.model import SECTIONS, LogSettings, option_name
from exporter.settings.problems import EXIT_CODE, ConfigError
from exporter.web.listener import listen

T = TypeVar("T")

PROGRAM = "together-exporter"
DESCRIPTION = "Prometheus exporter for Together AI container deployments."
FINE, FAILED = 0, 1
SERVE_OPTIONS = (
    ("web", "listen_address"),
    ("web", "telemetry_path"),
    ("web", "config_file"),
    ("web", "enable_lifecycle"),
    ("log", "level"),
    ("log", "format"),
    ("shard", "index"),
    ("shard", "total"),
)
POLL_OPTIONS = tuple(path for path in SERVE_OPTIONS if path[0] != "web")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every other problem is said."""

    known: ClassVar[set[str]] = set()  # the options of all commands, for near misses

    def add_argument(self, *names: Any, **shape: Any) -> argparse.Action:
        self.known.update(names)
        return super().add_argument(*names, **shape)

    def error(self, message: str) -> NoReturn:
        wrong = next((word.split("=")[0] for word in message.split() if word.startswith("--")), "")
        near = difflib.get_close_matches(wrong, self.known, n=1) if wrong else []
        mend = f"did you mean {near[0]}?" if near and near[0] != wrong else f"see {self.prog} --help"
        self.exit(EXIT_CODE, f"{PROGRAM}: {message}; {mend}\n")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Ends the process: 0 fine, 1 ran and failed, 2 unusable command line or configuration."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}):
        words.insert(0, "serve")
    options = _parser().parse_args(words)
    try:
        sys.exit(options.run(options))
    except ConfigError as error:
        sys.exit(_complain(str(error), error.exit_code))
    except KeyboardInterrupt:
        sys.exit(FAILED)
    except BrokenPipeError:  # the reader of our output left; there is nobody to tell
        sys.stderr.close()
        sys.exit(FAILED)


def _serve(options: argparse.Namespace) -> int:
    daemon = Daemon(functools.partial(_load, options))
    try:
        sock = listen(daemon.settings.web.listen_address)
    except ValueError as error:
        return _complain(f"{option_name(('web', 'listen_address'))}: {error}", EXIT_CODE)
    except OSError as error:
        return _complain(f"cannot listen on {daemon.settings.web.listen_address}: {error.strerror}", FAILED)
    _run(daemon.serve(sock))
    return FINE


def _once(options: argparse.Namespace) -> int:
    daemon = Daemon(functools.partial(_load, options), runtime_metrics=False)

    worked = _run(_poll_once(daemon))
    sys.stdout.buffer.write(daemon.page())
    sys.stdout.flush()
    return FINE if worked else FAILED


def _check(options: argparse.Namespace) -> int:
    try:
        loaded = _load(options)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return error.exit_code
    for project in loaded.projects:
        named = "all it sees" if project.deployments is None else f"{len(project.deployments)} by name"
        print(
            f"project {project.name}: {project.base_url}, deployments: {named}, fetch: {project.fetch}, "
            f"every {show(project.poll_interval)}, {project.requests_per_minute:g} requests a minute"
        )
    for project_name, file in loaded.open_key_files():
        print(f"warning: project {project_name}: {file} can be read by everyone; chmod o-r it", file=sys.stderr)
    return _check_poll(loaded) if options.poll else FINE


def _check_poll(loaded: Loaded) -> int:
    """Fetches everything once and prints a table."""
    quiet = loaded.settings.model_copy(update={"log": LogSettings(level="error")})
    daemon = Daemon(lambda: replace(loaded, settings=quiet), runtime_metrics=False)

    worked = _run(_poll_once(daemon))
    rows = [("PROJECT", "DEPLOYMENT", "STATUS", "READY", "DESIRED", "RESULT")]
    for record in daemon.view().records:
        state = record.state
        numbers = (_number(state.ready_replicas), _number(state.desired_replicas)) if state else ("-", "-")
        status = (state.status if state else None) or "-"
        rows.append((record.project, record.name, status, *numbers, str(record.error or "ok")))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    for project, error in daemon.store.project_errors():
        print(f"project {project}: {error}", file=sys.stderr)
    return FINE if worked else FAILED


async def _poll_once(daemon: Daemon) -> bool:
    try:
        return await daemon.poll_once()
    finally:
        await daemon.close()


def _number(count: float | None) -> str:
    return "-" if count is None else f"{count:g}"


def _metrics(_: argparse.Namespace) -> int:
    print(reference(described()), end="")
    return FINE


def _simulate(options: argparse.Namespace) -> int:
    from exporter.simulator import command  # noqa: PLC0415 - the daemon does without its imports

    try:
        return _run(command.simulate(options, listen(options.listen_address)))
    except (OSError, ValueError) as error:
        return _complain(str(error), EXIT_CODE)


def _demo(options: argparse.Namespace) -> int:
    from exporter import demo  # noqa: PLC0415 - the daemon does without its imports

    return _run(demo.run(options))


def _load(options: argparse.Namespace) -> Loaded:
    """The configuration with what the command line says on top."""
    given: dict[str, Any] = {}
    for section, name in SERVE_OPTIONS:
        value = getattr(options, f"{section}.{name}", None)
        if value is not None:
            given.setdefault(section, {})[name] = value
    return load(given, options.config_file)


def _run(task: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(task)


def _complain(message: str, code: int) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(run=run)
        return made

    _add_settings(
        command("serve", _serve, "Poll and serve /metrics; what runs when no command is given."), SERVE_OPTIONS
    )
    _add_demo(command("demo", _demo, "Simulator and exporter together, no API key needed."))
    _add_simulator(command("simulate", _simulate, "A fake Together API, for trying things out."))
    check = command("check", _check, "Read the configuration and say what is wrong with it.")
    check.add_argument("--poll", action="store_true", help="also fetch every deployment once and print a table")
    _add_settings(check, SERVE_OPTIONS)
    _add_settings(command("once", _once, "Poll once and write the metrics to stdout."), POLL_OPTIONS)
    command("metrics", _metrics, "Print the metric reference as Markdown.")
    return parser


def _add_settings(parser: argparse.ArgumentParser, paths: Sequence[tuple[str, str]]) -> None:
    parser.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        help="the configuration, YAML; without one TOGETHER_API_KEY is enough [$TOGETHER_EXPORTER_CONFIG__FILE]",
    )
    for section, name in paths:
        field = SECTIONS[section,].model_fields[name]
        variable = f"TOGETHER_EXPORTER_{section}__{name}".upper()
        shape: dict[str, Any] = {"metavar": name.rsplit("_", 1)[-1].upper()}
        if field.annotation is bool:
            shape = {"action": "store_const", "const": True}
        text = f"{field.description} Default {field.default}. [${variable}]".replace("%", "%%")
        parser.add_argument(option_name((section, name)), dest=f"{section}.{name}", help=text, **shape)


def _add_simulator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen-address", default="127.0.0.1:10171", metavar="ADDRESS", help="default %(default)s")
    parser.add_argument("--api-key", metavar="KEY", help="the only key to accept; by default any")
    _add_story(parser, scenario="steady", speed=1.0)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--web.listen-address",
        dest="listen_address",
        default="127.0.0.1:0",
        metavar="ADDRESS",
        help="where the exporter listens; port 0 takes a free one; default %(default)s",
    )
    parser.add_argument(
        "--simulator.listen-address",
        dest="simulator_address",
        default="127.0.0.1:0",
        metavar="ADDRESS",
        help="where the simulator listens; default %(default)s",
    )
    parser.add_argument("--poll-interval", default="1s", metavar="DURATION", help="default %(default)s")
    _add_story(parser, scenario="fleet", speed=10.0)


def _add_story(parser: argparse.ArgumentParser, scenario: str, speed: float) -> None:
    parser.set_defaults(scenario=scenario, speed=speed)
    parser.add_argument(
        "--scenario",
        metavar="NAME-OR-FILE",
        help=f"steady, rollout, crashloop, outage, scale-to-zero, fleet, or a YAML file; default {scenario}",
    )
    parser.add_argument("--deployments", type=int, metavar="N", help="how many deployments the fleet scenario has")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed lives the same life; default 1")
    parser.add_argument("--speed", type=float, metavar="X", help=f"story seconds per second; default {speed:g}")
