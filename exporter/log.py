"""Logging to stderr in logfmt or JSON, one line per event, including warnings of libraries. Lines are written by a
thread, so that logging never blocks or raises; lines that cannot be written are counted."""

from __future__ import annotations

import atexit
import logging
import os
import select
import sys
import threading
from queue import SimpleQueue
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

LogFormat = Literal["logfmt", "json"]
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
LEVEL_NAMES = {"warning": "warn", "critical": "error"}  # other libraries' names, and structlog's
FIRST_KEYS = ("ts", "level", "msg")
STDERR = 2
MAX_QUEUED = 1000  # queued lines; a few hundred KiB
FLUSH_TIMEOUT = 1.0  # s; for queued lines at exit


class LineWriter:
    """The file interface used by loggers, on a file descriptor; None drops all lines.

    SimpleQueue because its `put` is reentrant: finalizers may log."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._not_queued = 0
        self._not_written = 0  # counted by the thread

    @property
    def dropped(self) -> int:
        """Lines since the start."""
        return self._not_queued + self._not_written

    def write(self, line: str) -> None:
        if self._fd is None or self._lines.qsize() >= MAX_QUEUED:
            self._not_queued += 1
            return
        self._lines.put(line)

    def flush(self) -> None:
        """No-op, called by loggers after each line."""

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Flushes queued lines, for at most FLUSH_TIMEOUT."""
        if self._thread is not None:
            self._lines.put(None)
            self._thread.join(FLUSH_TIMEOUT)
            self._thread = None

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._write(line.encode(errors="backslashreplace"))
            except OSError:
                self._not_written += 1

    def _write(self, data: bytes) -> None:
        fd = cast("int", self._fd)
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:  # another process made the shared terminal or pipe non-blocking
                select.select((), (fd,), ())


_stderr = LineWriter(None if sys.stderr is None else STDERR)  # if closed, the descriptor may be reused by a socket
atexit.register(_stderr.close)


def dropped_lines() -> int:
    """Number of lines dropped since the start."""
    return _stderr.dropped


def configure(level: str, format_: LogFormat, writer: LineWriter = _stderr) -> None:
    """Sets up structlog and the standard library's logging. Other libraries never go below warning: their debug
    lines may hold headers."""
    writer.start()
    stream = cast("TextIO", writer)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        _level_as_in_the_flag,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.EventRenamer("msg"),
    ]
    render: list[Processor] = [structlog.processors.format_exc_info, *_renderer(format_)]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.getLogger("apscheduler").setLevel(
        logging.ERROR
    )  # logs each missed poll, see together_exporter_polls_missed_total
    logging.basicConfig(level=max(LEVELS[level], logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)  # Python itself writes them to stderr


def _level_as_in_the_flag(_: object, __: str, event: EventDict) -> EventDict:
    event["level"] = LEVEL_NAMES.get(event["level"], event["level"])
    return event


def _renderer(format_: LogFormat) -> tuple[Processor, ...]:
    if format_ == "json":
        return (structlog.processors.JSONRenderer(sort_keys=False),)
    return _printable, structlog.processors.LogfmtRenderer(key_order=FIRST_KEYS, bool_as_flag=False)


def _printable(_: object, __: str, event: EventDict) -> EventDict:
    """Escapes control characters, because names from the API could otherwise control the terminal."""
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in event.items()}


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
