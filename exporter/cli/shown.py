"""How `check` is shown: for people in a terminal, as plain text to whatever else reads it, or as JSON."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from pydantic import TypeAdapter
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from exporter.cli.check import Check, CheckedDeployment, CheckedProject
from exporter.status.model import Level

UNBOUNDED = 10_000  # columns; what is no terminal does not wrap lines
COLOURS: dict[Level, str] = {"critical": "bold red", "warning": "yellow", "busy": "cyan", "ok": "green"}
CHECK = TypeAdapter(Check)


def show(check: Check, output: str) -> None:
    """`output`: `text`, problems on stderr and the rest on stdout, or `json`, all on stdout."""
    if output == "json":
        sys.stdout.write(CHECK.dump_json(check, indent=2).decode() + "\n")
        return
    for problem in check.problems:
        print(_printable(str(problem)), file=sys.stderr)
    for warning in check.warnings:
        print(_printable(f"warning: {warning}"), file=sys.stderr)
    out = _console()
    if not check.problems:
        _say(out, *_configuration(check))
    for project in check.projects:
        _say(out, *_project(project))
    if check.deployments is not None:
        _polled(out, check)


@contextlib.contextmanager
def progress(check: Check) -> Iterator[Callable[[], None]]:
    """A bar on stderr while polls go on, where that is a terminal; what is given is to be called after each."""
    columns = (TextColumn("polling"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("polling", total=check.polls + sum(project.queue for project in check.projects))
        yield lambda: bar.advance(task)


def _configuration(check: Check) -> Iterator[str]:
    yield f"configuration: {check.file or 'no file; the environment alone'}"
    scheme = "https" if check.tls else "http"
    who = f", for {', '.join(check.users)}" if check.users else ""
    yield f"serves {scheme} on {check.listen_address}, the metrics at {check.telemetry_path}{who}"
    if check.shard_total > 1:
        yield f"shard {check.shard_index} of {check.shard_total}: other exporters poll the other deployments"


def _project(project: CheckedProject) -> Iterator[str]:
    named = "all it sees" if project.deployments is None else f"{len(project.deployments)} by name"
    chosen = [*(f"include {each}" for each in project.include), *(f"exclude {each}" for each in project.exclude)]
    if chosen:
        named = f"{named}, {', '.join(chosen)}"
    queues = ", and one for each queue" if project.queue else ""
    yield (
        f"project {project.project}: {project.base_url}, key from {project.api_key}, deployments: {named}, "
        f"fetch: {project.fetch}, every {project.poll_interval}, "
        f"{project.requests_per_minute:g} requests a minute{queues}"
    )


def _polled(out: Console, check: Check) -> None:
    deployments = check.deployments or ()
    out.print()
    if deployments:
        _print_table(out, _table(out, deployments))
    told = {project.error.reason for project in check.projects if project.error}
    for project in check.projects:
        if project.error is not None:
            _say(out, f"project {project.project}: {project.error.message} {project.error.hint}")
    hints = {each.error.reason: each.error.hint for each in deployments if each.error and not each.near}
    _say(out, *(f"{reason}: {hint}" for reason, hint in hints.items() if reason not in told))
    worked = sum(each.poll_success for each in deployments)
    _say(out, f"{worked} of {len(deployments)} deployments can be read; {check.series} series in all")
    if not deployments and check.ok:
        _say(out, "The key works and sees no deployment: is it the right project's?")


def _table(out: Console, deployments: tuple[CheckedDeployment, ...]) -> Table:
    in_terminal = out.is_terminal
    table = Table(box=box.SIMPLE_HEAD if in_terminal else None, pad_edge=in_terminal, show_edge=False)
    for header in ("PROJECT", "DEPLOYMENT", "STATUS"):
        table.add_column(header, no_wrap=not in_terminal)
    for header in ("READY", "DESIRED", "MIN", "MAX", "GPUS", "SERIES"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("RESULT", overflow="fold")
    for each in sorted(deployments, key=lambda d: (d.project, d.deployment)):
        counts = (each.ready_replicas, each.desired_replicas, each.min_replicas, each.max_replicas)
        cells = [each.project, each.deployment, each.status or "-", *map(_number, counts), _gpus(each)]
        row = [Text(_printable(cell)) for cell in (*cells, str(each.series), _result(each))]
        row[2].stylize(COLOURS[each.level])
        row[-1].stylize("green" if each.poll_success else "red")
        table.add_row(*row)
    return table


def _print_table(out: Console, table: Table) -> None:
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _result(d: CheckedDeployment) -> str:
    if d.error is None:
        return "ok"
    near = f" Did you mean {' or '.join(d.near)}?" if d.near else ""
    return f"{d.error.reason}: {d.error.message}{near}"


def _gpus(d: CheckedDeployment) -> str:
    if not d.gpus_per_replica:
        return "-"
    return f"{d.gpus_per_replica} x {d.gpu_type or 'GPU'}"


def _number(count: float | None) -> str:
    return "-" if count is None else str(count)


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = UNBOUNDED
    return console


def _say(out: Console, *lines: str) -> None:
    for line in lines:
        out.print(Text(_printable(line)))


def _printable(text: str) -> str:
    """Without what would move the cursor or colour the terminal: names come from elsewhere."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
