"""The console script: setup before imports, and process exit."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from typing import NoReturn

FAILED = 1  # exit code


def main() -> NoReturn:
    """Runs the command line and ends the process."""
    _open_standard_streams()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until the daemon handles it; other commands unblock it
    code, unwritten = FAILED, None
    try:
        from exporter.cli import commands  # noqa: PLC0415 - slow import, must not be interrupted by SIGHUP

        commands.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        pass
    except OSError as error:
        unwritten = error
    _end(code, unwritten)


def _open_standard_streams() -> None:
    """Opens closed standard streams, so that their descriptors are not reused by other files."""
    closed = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # Takes the lowest free number, which is this one. Nothing can be written to stderr's, so that log lines
            # which are lost there are counted.
            os.open(os.devnull, os.O_WRONLY if name == "stdout" else os.O_RDONLY)
            closed.append(name)
    for name in closed:
        setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # terminals without UTF-8


def _end(code: int, unwritten: OSError | None) -> NoReturn:
    """Exits without waiting for threads that may hang in a resolver or a network file system.

    `unwritten`: error of a failed write to stdout, or None."""
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does in its processes
    try:
        if unwritten is None:
            sys.stdout.flush()
    except OSError as error:
        unwritten = error
    with contextlib.suppress(OSError):
        if unwritten is not None:  # disk full or broken pipe
            code = code or FAILED
            reason = unwritten.strerror or str(unwritten)
            print(f"together-exporter: cannot write the output: {reason}", file=sys.stderr)
        sys.stderr.flush()
    os._exit(code)
