"""The `check` command: validates the configuration and optionally polls."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from exporter.api.errors import NotFound
from exporter.app import App, clock
from exporter.cli import prices
from exporter.metrics.families import series_of
from exporter.settings.durations import show
from exporter.settings.load import Loaded
from exporter.settings.model import LogSettings
from exporter.settings.problems import ConfigError, Problem
from exporter.settings.projects import Project, key_place
from exporter.state.records import Project as ProjectState
from exporter.state.records import Shown
from exporter.status.model import Deployment, Error
from exporter.status.report import deployment, error

MAX_SUGGESTIONS = 3  # suggested names for a name that does not exist
SIMILARITY_CUTOFF = 0.5  # minimum similarity of a suggestion, from 0 to 1


@dataclass(frozen=True, slots=True)
class CheckedProject:
    """A configured project. `api_key`: source of the key, never the key itself. `deployments`: names, None for
    discovery. `error`: why the list failed."""

    project: str
    base_url: str
    api_key: str
    fetch: str
    deployments: tuple[str, ...] | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    queue: bool
    queues: tuple[str, ...]
    revisions: bool
    poll_interval: str
    poll_timeout: str
    stale_after: str
    requests_per_minute: float
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class CheckedDeployment(Deployment):
    """As in /api/v1/status. `series`: number of series; `near`: similar names if it does not exist."""

    series: int = 0
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """`ok`: the configuration is valid and all polls succeeded. `deployments`, `series` (total): None without
    --poll."""

    ok: bool
    file: str | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    listen_addresses: tuple[str, ...] = ()
    telemetry_path: str | None = None  # with the route prefix
    tls: bool = False
    users: tuple[str, ...] = ()
    shard_index: int = 0
    shard_total: int = 1
    projects: tuple[CheckedProject, ...] = ()
    deployments: tuple[CheckedDeployment, ...] | None = None
    series: int | None = None

    @property
    def polls(self) -> int:
        """Number of requests to poll everything, excluding queues, revisions and retries."""
        return sum(len(p.deployments) if p.deployments and p.fetch == "each" else 1 for p in self.projects)


def refused(problem: ConfigError) -> Check:
    return Check(ok=False, problems=problem.problems)


def read(loaded: Loaded) -> Check:
    """Summary of the loaded configuration."""
    settings, web = loaded.settings, loaded.web
    return Check(
        ok=True,
        file=loaded.file or None,
        warnings=(
            *(
                f"project {project}: {file} is world-readable; run chmod o-r"
                for project, file in loaded.open_key_files()
            ),
            *filter(None, map(_rate_warning, loaded.projects)),
        ),
        listen_addresses=settings.web.listen_address,
        telemetry_path=f"{settings.web.route_prefix}{settings.web.telemetry_path}",
        tls=web.tls is not None,
        users=tuple(web.users),
        shard_index=settings.shard.index,
        shard_total=settings.shard.total,
        projects=tuple(
            _project(project, key_place(project_settings))
            for project, project_settings in zip(loaded.projects, settings.projects, strict=True)
        ),
    )


async def polled(loaded: Loaded, ended: Callable[[], object]) -> Check:
    """Like read(), after polling everything once; `ended`: called after each poll."""
    quiet = loaded.settings.model_copy(update={"log": LogSettings(level="error")})
    app = App(lambda: replace(loaded, settings=quiet), runtime_metrics=False)
    try:
        worked = await app.poll_once(ended)
        snapshot = await app.snapshot()
        missing = {shown.project for shown in snapshot.deployments if isinstance(shown.record.poll.error, NotFound)}
        known = {shown.project for shown in snapshot.deployments}
        empty = [each.name for each in snapshot.projects if each.name not in known and each.poll.error is None]
        filtered = {each.name for each in loaded.projects if each.include or each.exclude}
        names = {project: await app.names(project) for project in missing | filtered.intersection(empty)}
    finally:
        await app.close()
    base_urls = {project.name: project.base_url for project in loaded.projects}
    deployments = []
    for shown in snapshot.deployments:
        seen = deployment(shown, base_urls[shown.project], clock(), loaded.settings.gpu_hourly_cost)
        values = {each.name: getattr(seen, each.name) for each in fields(Deployment)}
        near = _near(shown, names.get(shown.project, []))
        deployments.append(CheckedDeployment(**values, series=series_of(shown), near=near))
    errors = {project.name: project.poll.error for project in snapshot.projects if project.poll.error is not None}
    checked = read(loaded)
    return replace(
        checked,
        ok=worked and all(each.poll_success for each in deployments),
        warnings=(
            *checked.warnings,
            *(prices.warnings(loaded.settings.gpu_hourly_cost, _gpu_types(deployments)) if deployments else ()),
            *(_empty(name, names.get(name)) for name in empty),
            *_opt_in_warnings(app.store.projects),
            *_twice(deployments),
        ),
        projects=tuple(
            replace(each, error=error(errors[each.project]) if each.project in errors else None)
            for each in checked.projects
        ),
        deployments=tuple(deployments),
        series=sum(not line.startswith(b"#") for line in (await app.page()).splitlines()),
    )


def _rate_warning(project: Project) -> str | None:
    """Warning about more polls than the rate limit allows."""
    allowed = 60 * project.max_requests_per_second
    if project.requests_per_minute <= allowed:
        return None
    return (
        f"project {project.name}: {project.requests_per_minute:.0f} requests/min exceed max_requests_per_second "
        f"({allowed:.0f} requests/min); raise it or poll_interval"
    )


def _project(project: Project, api_key: str) -> CheckedProject:
    return CheckedProject(
        project=project.name,
        base_url=project.base_url,
        api_key=api_key,
        fetch=project.fetch,
        deployments=None if project.deployments is None else tuple(project.deployments),
        include=project.include,
        exclude=project.exclude,
        queue=project.queue,
        queues=project.queues,
        revisions=project.revisions,
        poll_interval=show(project.poll_interval),
        poll_timeout=show(project.poll_timeout),
        stale_after=show(project.stale_after),
        requests_per_minute=project.requests_per_minute,
    )


def _empty(project: str, names: Sequence[str] | None) -> str:
    """Warning about a project without exported deployments. `names`: those that the API lists, if they are filtered."""
    if not names:
        return f"project {project}: the API key is valid, but the project has no deployments; check that it is its key"
    return f'project {project}: include and exclude match no deployment, such as "{names[0]}"; they match whole names'


def _opt_in_warnings(projects: Mapping[str, ProjectState]) -> Iterator[str]:
    """Warnings about failed opt-in fetches."""
    for name, project in projects.items():
        for fetch, states in (("queue", project.queues), ("revisions", project.revisions)):
            failed = next((state.poll.error for state in states.values() if state.poll.error is not None), None)
            if failed is not None:
                yield f"project {name}: {fetch}: {failed.reason}: {failed}"


def _twice(deployments: Iterable[Deployment]) -> Iterator[str]:
    """Warnings about deployments that are configured by name and by ID: sums count them twice."""
    shown_as: dict[tuple[str, str | None], str] = {}
    for each in deployments:
        other = shown_as.setdefault((each.project, each.id), each.deployment)
        if each.id is not None and other != each.deployment:
            yield f'project {each.project}: "{other}" and "{each.deployment}" are one deployment; remove one of them'


def _gpu_types(deployments: Iterable[Deployment]) -> set[str]:
    """GPU types in use."""
    return {each.gpu_type for each in deployments if each.gpu_type and each.gpus_per_replica}


def _near(shown: Shown, names: list[str]) -> tuple[str, ...]:
    """Names in the project that are similar to a missing one."""
    if not isinstance(shown.record.poll.error, NotFound):
        return ()
    return tuple(difflib.get_close_matches(shown.record.key, names, n=MAX_SUGGESTIONS, cutoff=SIMILARITY_CUTOFF))
