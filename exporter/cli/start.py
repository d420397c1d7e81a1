"""The console script: what has to happen before the rest is imported, and how the process ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 1  # exit code


def main() -> NoReturn:
    """Runs the command line and ends the process."""
    _open_standard_streams()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # kept until the daemon handles it; others unblock it
    code: object = INTERRUPTED
    try:
        from exporter.cli import commands  # noqa: PLC0415 - takes most of the start, which a signal must not end

        commands.main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        pass
    _end(code if isinstance(code, int) else 0)


def _open_standard_streams() -> None:
    """A file opened later must not get the number of a standard stream that is closed, and be written to as such."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal may not be UTF-8


def _end(code: int) -> NoReturn:
    """Without waiting for threads: one may hang for minutes in a resolver or a network file system."""
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does in its processes
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
