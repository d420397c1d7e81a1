"""The status page: self-contained HTML of a filtered and sorted status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.templating import Jinja2Templates

from exporter import DOCUMENTATION
from exporter.cooperative import in_slices
from exporter.state.reasons import reason_class
from exporter.status.findings import REASONS, STALE
from exporter.status.model import LEVELS, Deployment, Finding, Level, Project, Replica, Status
from exporter.web import formats
from exporter.web.assets import SCRIPT, STYLE, TEMPLATES, fingerprint
from exporter.web.formats import Clock
from exporter.web.query import EXACT, SORTS, Query, address, labels, status_of

MAX_ROWS = 1000  # browsers become slow above it
MAX_ROWS_WITH_DETAILS = 100  # of healthy deployments; more would slow down the refresh
MAX_REPLICAS = 3  # per deployment in the table; the page of a single deployment lists all
MAX_OPTIONS = 200  # of one filter
REFRESH = 5  # s between two refreshes of an open page
COLOURS: dict[Level, str] = {"critical": "c81e3a", "warning": "d29922", "busy": "0969da", "ok": "1a7f37"}
ICONS: dict[Level, str] = {"critical": "✕", "warning": "▲", "busy": "↻", "ok": "✓"}
TROUBLE: frozenset[Level] = frozenset({"critical", "warning"})
RUNBOOKS = f"{DOCUMENTATION.removesuffix('README.md')}runbooks/"
SELECTS = {"project": "projects", "status": "statuses", "gpu_type": "GPU types", "label": "labels"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    `queue`: waiting and running messages, None if not polled. `replicas`: replicas listed in the details; for
    deployments in trouble only those not ready. `replicas_left`: number of replicas not listed."""

    deployment: Deployment
    status: str
    findings: tuple[Finding, ...]
    queue: tuple[float | None, float | None] | None
    replicas: tuple[Replica, ...]
    has_details: bool
    is_open: bool
    has_state: bool
    has_facts: bool
    replicas_left: int


class StatusPage:
    """`telemetry_path`: path of the metrics. `max_rows`: deployments shown at once; filters find the others."""

    def __init__(self, telemetry_path: str, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=False
        )
        for name in ("attribute", "count", "exact", "interval", "logs_command", "number", "short"):
            environment.filters[name] = getattr(formats, name)
        environment.filters.update(labels=labels, replica_level=_replica_level)
        environment.globals.update(
            address=address,
            docs=DOCUMENTATION,
            fingerprint=fingerprint(),
            icons=ICONS,
            metrics=telemetry_path.removeprefix("/"),
            refresh=REFRESH,
            runbooks=RUNBOOKS,
            script=Markup(SCRIPT.text),  # noqa: S704 - static files, no API data
            selects=SELECTS,
            sorts=SORTS,
            style=Markup(STYLE.text),  # noqa: S704 - as above
        )
        self._template = Jinja2Templates(env=environment).get_template("status.html")

    async def render(self, status: Status, query: Query) -> bytes:
        options: dict[str, set[str]] = {name: set() for name in SELECTS}
        matches, found = query.matcher(), []
        async for deployment in in_slices(status.deployments):
            for name, values in options.items():
                values.update(EXACT[name](deployment))
            if matches(deployment):
                found.append(deployment)
        query.order(found)
        generated = self._template.generate(
            status=status,
            query=query,
            found=len(found),
            rows=_rows(status, found[: self._max_rows], is_alone=bool(query.deployment)),
            options={name: _options(values, getattr(query, name)) for name, values in options.items()},
            by_level=Counter(deployment.level for deployment in status.deployments),
            max_rows=self._max_rows,
            down=[project for project in status.projects if project.error],
            clock=Clock(status.now),
            colour=COLOURS[_worst(status)],
        )
        parts = [part async for part in in_slices(generated)]
        return "".join(parts).encode(errors="replace")


def _worst(status: Status) -> Level:
    return next((level for level in LEVELS if status.levels[level]), "ok")


def _options(values: Iterable[str], selected: str) -> list[str]:
    """The options of a filter including the selected one; empty if there is at most one option."""
    options = sorted({*sorted(values)[:MAX_OPTIONS], *filter(None, [selected])})
    return options if len(options) > 1 or selected else []


def _rows(status: Status, shown: list[Deployment], *, is_alone: bool) -> Iterable[Row]:
    """`is_alone`: the page shows a single deployment with all details."""
    down = {project.project: project for project in status.projects if project.error}
    queues = {(queue.project, queue.queue): (queue.waiting, queue.running) for queue in status.queues}
    few = len(shown) <= MAX_ROWS_WITH_DETAILS
    for deployment in shown:
        findings = _findings(deployment, down)
        is_trouble = deployment.level in TROUBLE and not is_alone
        is_open = is_alone or (is_trouble and bool(findings))
        replicas = [r for r in deployment.replicas if not (is_trouble and r.is_ready)]
        replicas.sort(key=lambda replica: LEVELS.index(_replica_level(replica)))
        unlisted = (deployment.replicas_listed or 0) - len(deployment.replicas)
        listed = tuple(replicas if is_alone else replicas[:MAX_REPLICAS])
        yield Row(
            deployment=deployment,
            status=status_of(deployment),
            findings=findings,
            queue=None if deployment.queue is None else queues.get((deployment.project, deployment.queue)),
            replicas=listed,
            replicas_left=len(replicas) + unlisted - len(listed),
            has_details=is_open or (few and deployment.has_state),
            is_open=is_open,
            has_state=deployment.has_state,
            has_facts=deployment.has_state and not is_trouble,
        )


def _replica_level(replica: Replica) -> Level:
    if replica.is_ready:
        return "ok"
    return "warning" if replica.reason is not None and reason_class(replica.reason) in REASONS else "busy"


def _findings(d: Deployment, down: Mapping[str, Project]) -> tuple[Finding, ...]:
    """Findings not already visible elsewhere: a project's error is shown once, and the row shows rollouts and missing
    data."""
    project = down.get(d.project)
    cause = None
    if d.error is not None and project is not None and project.error is not None:
        cause = d.error.message if d.error.reason == project.error.reason else None
    return tuple(
        finding
        for finding in d.findings
        if finding.level != "busy" and finding.message != cause and (d.has_state or finding.alert != STALE)
    )
