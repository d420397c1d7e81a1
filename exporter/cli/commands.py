"""Implementation and exit codes of the commands."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import uvloop

from exporter.cli import rules
from exporter.cli.options import PROGRAM, SERVE_OPTIONS, Run, parser
from exporter.settings.addresses import parse as parse_address
from exporter.settings.load import Loaded, load
from exporter.settings.model import option_name
from exporter.settings.problems import EXIT_CODE, ConfigError
from exporter.web.listener import listen

if TYPE_CHECKING:
    from exporter.app import App

T = TypeVar("T")

SUCCESS, FAILED = 0, 1


class CommandError(Exception):
    """A command cannot be executed; the message includes a hint."""

    def __init__(self, message: str, exit_code: int = EXIT_CODE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Raises SystemExit: 0 fine, 1 ran and failed, 2 unusable command line, environment or configuration.

    Raises OSError where the output cannot be written."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}):
        words.insert(0, "serve")
    try:
        options = parser(COMMANDS).parse_args(words)
        if options.run not in DAEMONS:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        code = options.run(options)
    except (ConfigError, CommandError) as error:
        code = _failed(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = FAILED
    sys.exit(code)


def _failed(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"{PROGRAM}: {message}", file=sys.stderr, flush=True)
    return code


def _serve(options: argparse.Namespace) -> int:
    from exporter.app import App  # noqa: PLC0415 - takes half of the start, and most commands do without it

    app = App(functools.partial(_load, options))
    option = option_name(("web", "listen_address"))
    with contextlib.ExitStack() as stack:
        addresses = app.settings.web.listen_address
        _run(app.serve([stack.enter_context(_socket(option, address)) for address in addresses]))
    return SUCCESS


def _once(options: argparse.Namespace) -> int:
    from exporter.app import App  # noqa: PLC0415 - as above

    app = App(lambda: _without_info_logs(_load(options)), runtime_metrics=False)
    worked, page = _run(_poll_once(app))
    sys.stdout.buffer.write(page)
    return SUCCESS if worked else FAILED


def _without_info_logs(loaded: Loaded) -> Loaded:
    """Raises level info to warn: a cron job must not log successful polls."""
    settings = loaded.settings
    if settings.log.level != "info":
        return loaded
    quiet = settings.model_copy(update={"log": settings.log.model_copy(update={"level": "warn"})})
    return replace(loaded, settings=quiet)


def _check(options: argparse.Namespace) -> int:
    from exporter.cli import check, shown  # noqa: PLC0415 - the daemon does without their imports

    try:
        loaded = _load(options)
    except ConfigError as error:
        result = check.refused(error)
    else:
        result = check.read(loaded)
        if options.poll:
            with shown.progress(result) as ended:
                result = _run(check.polled(loaded, ended))
    shown.show(result, options.output)
    if result.problems:
        return EXIT_CODE
    return SUCCESS if result.ok else FAILED


async def _poll_once(app: App) -> tuple[bool, bytes]:
    """Returns whether all polls succeeded, and the page."""
    try:
        return await app.poll_once(), await app.page()
    finally:
        await app.close()


def _metrics(_: argparse.Namespace) -> int:
    from exporter.metrics.reference import reference  # noqa: PLC0415 - as above
    from exporter.self_metrics import described  # noqa: PLC0415 - as above

    print(reference(described()), end="")
    return SUCCESS


def _completion(options: argparse.Namespace) -> int:
    from exporter.cli.completion import completion  # noqa: PLC0415 - the daemon does without its imports

    print(completion(COMMANDS, options.shell))
    return SUCCESS


def _simulate(options: argparse.Namespace) -> int:
    from exporter.simulator import command  # noqa: PLC0415 - the daemon does without its imports

    simulator = _or_command_error(lambda: command.make(options))
    sock = _socket("--listen-address", options.listen_address)
    try:
        return _run(command.simulate(simulator, options.scenario, sock))
    except KeyboardInterrupt:  # the usual way to stop it
        return SUCCESS


def _demo(options: argparse.Namespace) -> int:
    from exporter import demo  # noqa: PLC0415 - the daemon does without its imports
    from exporter.simulator import command  # noqa: PLC0415 - as above

    options.api_key = None
    simulator = _or_command_error(lambda: command.make(options))
    api = _socket("--simulator.listen-address", options.simulator_address)
    web = _socket("--web.listen-address", options.listen_address)
    return _run(demo.run(simulator, api, web, options))


def _or_command_error(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise CommandError(" ".join(str(error).split())) from None


def _socket(option: str, address: str) -> socket.socket:
    """Creates a listening socket. `option`: the option of the address."""
    try:
        parsed = parse_address(address)
        socket.getaddrinfo(parsed.host or None, parsed.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return listen(address)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from None
    except socket.gaierror as error:
        text = f'"{address}" has a host that cannot be resolved: {error.strerror}; write an IP address'
        raise CommandError(f"{option}: {text}") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)  # without Python's additions
        hint = f"stop the other process, or choose another address with {option}"
        raise CommandError(f"cannot listen on {address}: {why}; {hint}", FAILED) from None


def _load(options: argparse.Namespace) -> Loaded:
    """Loads the configuration with command line overrides."""
    overrides: dict[str, Any] = {}
    for section, name in SERVE_OPTIONS:
        value = getattr(options, f"{section}.{name}", None)
        if value is not None:
            overrides.setdefault(section, {})[name] = value
    return load(overrides, options.config_file)


def _run(task: Coroutine[Any, Any, T]) -> T:
    """The loop is not closed, because that would wait for threads that may hang in a resolver."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop).run(task)


COMMANDS: Mapping[str, Run] = {
    "serve": _serve,
    "check": _check,
    "once": _once,
    "demo": _demo,
    "simulate": _simulate,
    "metrics": _metrics,
    "rules": rules.rules,
    "dashboards": rules.dashboards,
    "completion": _completion,
}
DAEMONS = frozenset({_serve, _demo})  # handle SIGHUP
