"""The current web configuration; checks its files for changes each time it is used."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import structlog

from exporter.settings.problems import ConfigError
from exporter.settings.web_config import WebConfig, read

RETRY_INTERVAL = 5.0  # s between reads of an unchanged invalid file; a file that it references may have been added

Stamp = tuple[tuple[int, ...] | None, ...]
log = structlog.get_logger()


class WatchedWebConfig:
    """`name`: None if no file is configured. If a changed file is invalid, the previous configuration stays active."""

    def __init__(self, name: str | None, first: WebConfig) -> None:
        self._name = name
        self._config = first
        self._stamp = _stamp(first.files)
        self._next_try = float("inf")
        self.problem: str | None = None  # problem of the current file

    def current(self) -> WebConfig:
        """Returns the current configuration. Calls stat on each file."""
        if self._name is None:
            return self._config
        stamp = _stamp(self._config.files)
        if stamp != self._stamp or time.monotonic() >= self._next_try:
            self._stamp = stamp
            self._read(self._name)
        return self._config

    def _read(self, name: str) -> None:
        try:
            self._config = read(name)
        except ConfigError as error:
            self._next_try = time.monotonic() + RETRY_INTERVAL
            if self.problem != str(error):
                log.error(
                    "web configuration reload failed",
                    error=str(error),
                    effect="previous web configuration stays active",
                )
            self.problem = str(error)
            return
        self._stamp = _stamp(self._config.files)
        self._next_try = float("inf")
        self.problem = None
        log.info("web configuration reloaded", file=name)


def _stamp(files: Iterable[str]) -> Stamp:
    return tuple(map(_stat, files))


def _stat(file: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
