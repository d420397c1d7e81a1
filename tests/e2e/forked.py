"""Starts a command as a fork of a process that has imported the exporter already, which takes most of a short test."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import IO

from exporter.cli import start

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["exporter.app", "exporter.cli.check", "exporter.cli.commands", "exporter.cli.shown", __name__]
)


class ForkedProcess:
    """What the tests use of `subprocess.Popen`, with pipes for the output; both streams may be one."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], *, is_merged: bool) -> None:
        output, theirs = _context.Pipe(duplex=False)
        errors, their_errors = (output, theirs) if is_merged else _context.Pipe(duplex=False)
        process = _context.Process(target=_run, args=(arguments, dict(environment), theirs, their_errors))
        process.start()
        self._process = process
        theirs.close()
        their_errors.close()
        self.stdout = _opened(output)
        self.stderr = None if is_merged else _opened(errors)
        assert process.pid is not None
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("exporter", timeout or 0.0)
        return code

    def communicate(self, timeout: float) -> tuple[str, str]:
        """All that it writes, until it ends or is killed for taking too long."""
        streams = [self.stdout, *([self.stderr] if self.stderr else [])]
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        with ThreadPoolExecutor() as pool:
            texts = [*pool.map(lambda stream: stream.read(), streams), ""]
        self.wait(timeout)
        timer.cancel()
        for stream in streams:
            stream.close()
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _opened(connection: Connection) -> IO[str]:
    stream = os.fdopen(os.dup(connection.fileno()), encoding="utf-8")
    connection.close()
    return stream


def _run(arguments: Sequence[str], environment: Mapping[str, str], output: Connection, errors: Connection) -> None:
    for number, connection in ((1, output), (2, errors)):
        os.dup2(connection.fileno(), number)
    output.close()
    errors.close()
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the process ends
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["exporter", *arguments]
    gc.freeze()  # what the parent imported, which is never collected, stays shared
    start.main()
