"""Output of `check`: terminal, plain text or JSON."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from exporter.cli.check import Check, CheckedDeployment, CheckedProject
from exporter.status.model import Level

UNBOUNDED = 10_000  # columns; no line wrapping without a terminal
COLOURS: dict[Level, str] = {"critical": "bold red", "warning": "yellow", "busy": "cyan", "ok": "green"}
CHECK = TypeAdapter(Check)


def show(check: Check, output: str) -> None:
    """`output`: `text` (problems on stderr, the rest on stdout) or `json` (stdout)."""
    if output == "json":
        sys.stdout.write(CHECK.dump_json(check, indent=2).decode() + "\n")
        return
    with contextlib.suppress(OSError):  # the exit code reports the problems if stderr is closed
        for text in (*map(str, check.problems), *(f"warning: {warning}" for warning in check.warnings)):
            print(_printable(text), file=sys.stderr)
    out = _console()
    if not check.problems:
        _print_lines(out, *_configuration(check))
    for project in check.projects:
        _print_lines(out, *_project(project))
    if check.deployments is not None:
        _polled(out, check)


@contextlib.contextmanager
def progress(check: Check) -> Iterator[Callable[[], None]]:
    """Progress bar on stderr if it is a terminal; call the yielded function after each poll."""
    columns = (TextColumn("polling"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)  # FORCE_COLOR makes it a terminal
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("polling", total=check.polls + sum(map(_opt_in_polls, check.projects)))
        yield lambda: bar.advance(task)


def _opt_in_polls(project: CheckedProject) -> int:
    return (project.queue or bool(project.queues)) + project.revisions


def _configuration(check: Check) -> Iterator[str]:
    yield f"configuration: {check.file or 'none (environment only)'}"
    scheme = "https" if check.tls else "http"
    users = f", basic auth users: {', '.join(check.users)}" if check.users else ""
    yield f"listening on {', '.join(check.listen_addresses)} ({scheme}), metrics at {check.telemetry_path}{users}"
    if check.shard_total > 1:
        yield f"shard {check.shard_index} of {check.shard_total}: other shards poll the remaining deployments"


def _project(project: CheckedProject) -> Iterator[str]:
    selection = "all" if project.deployments is None else f"{len(project.deployments)} by name"
    filters = [*(f"include {each}" for each in project.include), *(f"exclude {each}" for each in project.exclude)]
    if filters:
        selection = f"{selection}, {', '.join(filters)}"
    queues = " plus one per queue" if project.queue or project.queues else ""
    revisions = " plus one per new revision" if project.revisions else ""
    yield (
        f"project {project.project}: {project.base_url}, API key from {project.api_key}, deployments: {selection}, "
        f"fetch: {project.fetch}, every {project.poll_interval}, "
        f"{project.requests_per_minute:g} requests/min{queues}{revisions}"
    )


def _polled(out: Console, check: Check) -> None:
    deployments = sorted(check.deployments or (), key=lambda d: (d.project, d.deployment))
    out.print()
    if deployments:
        _print_table(out, deployments)
    _print_lines(out, *_errors(deployments))
    shown = {project.error.reason for project in check.projects if project.error}
    for project in check.projects:
        if project.error is not None:
            _print_lines(out, f"project {project.project}: {project.error.message} {project.error.hint}")
    hints = {each.error.reason: each.error.hint for each in deployments if each.error and not each.near}
    _print_lines(out, *(f"{reason}: {hint}" for reason, hint in hints.items() if reason not in shown))
    worked = sum(each.poll_success for each in deployments)
    _print_lines(out, f"{worked} of {len(deployments)} deployments polled successfully; {check.series} series in total")


def _gpus(d: CheckedDeployment) -> str:
    if not d.gpus_per_replica:
        return "-"
    return f"{d.gpus_per_replica} x {d.gpu_type or 'GPU'}"


def _number(count: float | None) -> str:
    return "-" if count is None else str(count)


@dataclass(frozen=True, slots=True)
class Column:
    """`style`: of cells in a terminal."""

    header: str
    cell: Callable[[CheckedDeployment], str]
    justify: Literal["left", "right"] = "right"
    style: Callable[[CheckedDeployment], str] = lambda _: ""


COLUMNS = (
    Column("PROJECT", lambda d: d.project, "left"),
    Column("DEPLOYMENT", lambda d: d.deployment, "left"),
    Column("STATUS", lambda d: d.status or "-", "left", lambda d: COLOURS[d.level]),
    Column("READY", lambda d: _number(d.ready_replicas)),
    Column("DESIRED", lambda d: _number(d.desired_replicas)),
    Column("MIN", lambda d: _number(d.min_replicas)),
    Column("MAX", lambda d: _number(d.max_replicas)),
    Column("GPUS", _gpus),
    Column("SERIES", lambda d: str(d.series)),
    Column(
        "RESULT", lambda d: d.error.reason if d.error else "ok", "left", lambda d: "green" if d.poll_success else "red"
    ),
)
# Columns dropped on narrow terminals, in order. Names and results are always kept.
DROPPED_FIRST = ("SERIES", "GPUS", "MIN", "MAX", "DESIRED", "READY", "STATUS", "PROJECT")


def _print_table(out: Console, deployments: Sequence[CheckedDeployment]) -> None:
    """Drops columns until the table fits the terminal. Names are never truncated or wrapped."""
    in_terminal = out.file.isatty()
    columns, dropped = list(COLUMNS), list(DROPPED_FIRST)
    table = _table(columns, deployments, edge=in_terminal)
    while in_terminal and dropped and _width(out, table) > out.width:
        columns = [column for column in columns if column.header != dropped[0]]
        del dropped[0]
        table = _table(columns, deployments, edge=in_terminal)
    with out.capture() as captured:
        width, out.width = out.width, UNBOUNDED  # do not truncate names longer than the terminal
        out.print(table)
        out.width = width
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _width(out: Console, table: Table) -> int:
    return out.measure(table, options=out.options.update(width=UNBOUNDED)).maximum


def _table(columns: Sequence[Column], deployments: Sequence[CheckedDeployment], *, edge: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if edge else None, pad_edge=edge, show_edge=False)
    for column in columns:
        table.add_column(column.header, justify=column.justify, no_wrap=True)
    for each in deployments:
        table.add_row(*(Text(_printable(column.cell(each)), column.style(each)) for column in columns))
    return table


def _errors(deployments: Sequence[CheckedDeployment]) -> Iterator[str]:
    for each in deployments:
        if each.error is not None:
            near = f" Did you mean {' or '.join(each.near)}?" if each.near else ""
            yield f"{each.project}/{each.deployment}: {each.error.reason}: {each.error.message}{near}"


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Reports a broken pipe like other write errors."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _console() -> Console:
    console = _Output(highlight=False, markup=False, emoji=False)
    if not console.file.isatty():
        console.width = UNBOUNDED
    return console


def _print_lines(out: Console, *lines: str) -> None:
    for line in lines:
        out.print(Text(_printable(line)), soft_wrap=True)


def _printable(text: str) -> str:
    """Replaces control characters, because names from the API could otherwise control the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
