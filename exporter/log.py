"""Logs on stderr, logfmt or JSON, one line an event; other libraries' warnings in the same form."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

LogFormat = Literal["logfmt", "json"]
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FIRST_KEYS = ("ts", "level", "msg")


def configure(level: str, format_: LogFormat, stream: TextIO | None = None) -> None:
    """Sets up structlog and the standard library's logging. Other libraries never go below warning: their debug
    lines may hold headers."""
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.EventRenamer("msg"),
    ]
    render: list[Processor] = [structlog.processors.format_exc_info, *_renderer(format_)]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # each missed poll; together_exporter_polls_missed_total
    logging.basicConfig(level=max(LEVELS[level], logging.WARNING), handlers=[handler], force=True)


def _renderer(format_: LogFormat) -> tuple[Processor, ...]:
    if format_ == "json":
        return (structlog.processors.JSONRenderer(sort_keys=False),)
    return _printable, structlog.processors.LogfmtRenderer(key_order=FIRST_KEYS, bool_as_flag=False)


def _printable(_: object, __: str, event: EventDict) -> EventDict:
    """Names come from elsewhere: what would move a terminal's cursor is written as its escape, as JSON does anyway."""
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in event.items()}


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
