"""The only wiring: settings become objects; start, reload, stop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import ASGIApp

from exporter import __version__, notify
from exporter import log as log_lines
from exporter.api.client import Client, Endpoint
from exporter.api.errors import REASONS, Unauthorized
from exporter.api.models import Deployment
from exporter.counted import changes
from exporter.instrumentation import Instrumentation
from exporter.metrics.exposition import Exposition
from exporter.poller import BUG, Plan, Poller
from exporter.records import Instant, Limits, Target, View
from exporter.scheduler import Scheduler
from exporter.settings.keys import KeySource, KeyUnusable
from exporter.settings.load import Loaded
from exporter.settings.model import Settings
from exporter.settings.problems import ConfigError
from exporter.settings.projects import Project
from exporter.settings.shards import belongs
from exporter.settings.watched import WatchedWebConfig
from exporter.status.report import Facts, ProjectFacts
from exporter.store import Store
from exporter.web import app as web_app
from exporter.web import status as web_status
from exporter.web.access import Access, AccessMiddleware
from exporter.web.limit import RequestLimit
from exporter.web.listener import show_address
from exporter.web.metrics import MetricsEndpoint
from exporter.web.own import OwnMetrics, Registries
from exporter.web.refusals import Refusals
from exporter.web.rendering import Rendering
from exporter.web.server import Server

# Allocations between two looks for garbage, young, older, oldest: answers are trees, freed without it, and with the
# defaults each large one has everything that is known looked through again and again.
GARBAGE_THRESHOLDS = (10_000, 2, 2_500)

log = structlog.get_logger()


def clock() -> Instant:
    return Instant(time.monotonic(), time.time())


@dataclass(frozen=True, slots=True)
class Parts:
    """What a configuration is turned into; a reload builds another and swaps it in."""

    loaded: Loaded
    pollers: dict[str, Poller]
    plans: list[Plan]
    exposition: Exposition

    def unchanged(self, loaded: Loaded) -> dict[str, Poller]:
        """The pollers of the projects that another configuration has in the same words."""
        if self.loaded.settings.shard != loaded.settings.shard:
            return {}
        return {p.name: self.pollers[p.name] for p in loaded.projects if p in self.loaded.projects}


class Daemon:
    """Polls and serves until it is told to stop. `load` reads the configuration anew for each reload."""

    def __init__(self, load: Callable[[], Loaded], *, runtime_metrics: bool = True) -> None:
        """Raises ConfigError."""
        self._load = load
        self.instrumentation = Instrumentation(runtime=runtime_metrics, dropped_log_lines=log_lines.dropped_lines)
        self.store = Store()
        loaded = load()
        log_lines.configure(loaded.settings.log.level, loaded.settings.log.format)
        self._web_config = WatchedWebConfig(loaded.settings.web.config_file, loaded.web)
        self._own = OwnMetrics(Registries(self.instrumentation.registry, self.instrumentation.live, changes))
        self._rendering = Rendering(lambda: self._parts.exposition, self.view)
        self._reload_problem: str | None = None  # why the latest one was refused
        self._started = clock().unix
        self._configuration_state: float | None = None
        self._parts = self._build(loaded, None)
        self._apply(self._parts)

    @property
    def settings(self) -> Settings:
        return self._parts.loaded.settings

    @property
    def plans(self) -> list[Plan]:
        return self._parts.plans

    def view(self) -> View:
        return self.store.view(clock())

    def page(self) -> bytes:
        """Everything in the text format, for a command that ends then."""
        return self._parts.exposition.render(self.view(), "text") + b"".join(self._own.text("text"))

    async def poll_once(self, ended: Callable[[], object] = lambda: None) -> bool:
        """Every plan once; whether all worked. `ended` is called after each."""

        async def poll(plan: Plan) -> bool:
            worked = await self._parts.pollers[plan.project].poll(plan)
            ended()
            return worked

        first = [plan for plan in self.plans if plan.fetch != "queue"]
        queues = [plan for plan in self.plans if plan.fetch == "queue"]  # known from the deployments, so last
        results = [await asyncio.gather(*map(poll, wave)) for wave in (first, queues)]
        return all(worked for wave in results for worked in wave)

    async def names(self, project: str) -> list[str]:
        """The names and IDs of all deployments that the project's key sees; none where it cannot be asked."""
        return await self._parts.pollers[project].names()

    async def close(self) -> None:
        for poller in self._parts.pollers.values():
            await poller.retire()

    async def serve(self, sock: socket.socket) -> None:
        """Until SIGTERM or SIGINT, or until the task is cancelled."""
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        stop = asyncio.Event()
        scheduler = Scheduler(self.instrumentation)
        reload = functools.partial(self._reload, scheduler)
        lifecycle = reload if self.settings.web.enable_lifecycle else None
        web = self.settings.web
        refusals = Refusals(self.instrumentation)
        app = web_app.build(self._limited(scheduler, refusals), self.store.is_ready, lifecycle)
        app = AccessMiddleware(app, self._access, refusals)
        server = Server(app, self._access, refusals, max_connections=web.max_connections)
        with _signals(stop, reload):
            self._schedule(scheduler)
            scheduler.start()
            serving = asyncio.create_task(server.serve(sockets=[sock]))
            self._announce(sock)
            notify.notify(notify.READY)
            drawing = asyncio.create_task(self._rendering.stay_current())
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                notify.notify(notify.STOPPING)
                log.info("stopping")
                scheduler.stop()
                server.stop()
                stopping.cancel()
                drawing.cancel()
                await serving
                await self.close()
                log.info("stopped")

    def _limited(self, scheduler: Scheduler, refusals: Refusals) -> dict[str, ASGIApp]:
        """The answers that grow with the fleet, so that not too many are on their way at a time."""
        web = self.settings.web
        reports = web_status.StatusReports(functools.partial(self._facts, scheduler), web.telemetry_path)
        scrapes = RequestLimit(MetricsEndpoint(self._rendering, self._own), web.max_requests, refusals, "scrape_limit")
        pages = RequestLimit(web_status.build(reports), web_status.MOST_AT_ONCE, refusals, "page_limit")
        return {web.telemetry_path: scrapes, **dict.fromkeys(web_status.PATHS, pages)}

    def _facts(self, scheduler: Scheduler) -> Facts:
        """What the status page tells."""
        now = clock()
        due = scheduler.next_polls()
        coming: dict[str, float] = {}  # by project, seconds since 1970
        for plan in self.plans:
            if plan.id in due:
                moment = due[plan.id].timestamp()
                coming[plan.project] = min(coming.get(plan.project, moment), moment)
        errors = dict(self.store.project_errors())
        projects = [
            ProjectFacts(
                name=project.name,
                base_url=project.base_url,
                fetch=project.fetch,
                poll_interval=project.poll_interval,
                last_poll=last.unix if (last := self._parts.pollers[project.name].last_poll) else None,
                next_poll=coming.get(project.name),
                error=errors.get(project.name),
            )
            for project in self._parts.loaded.projects
        ]
        return Facts(
            version=__version__,
            now=now,
            started=self._started,
            ready=self.store.is_ready(),
            configuration_error=self._reload_problem or self._web_config.problem,
            shard=(self.settings.shard.index, self.settings.shard.total),
            projects=tuple(projects),
            view=self.store.view(now),
        )

    def _access(self) -> Access:
        """Who may come in now, by the web configuration's files as they are now."""
        config = self._web_config.current()
        self._note_configuration()
        return Access(config.tls, config.allowed_sans, config.users, config.headers, config.rate)

    def _note_configuration(self) -> None:
        """Shows whether what runs is what was asked for."""
        state = float(self._reload_problem is None and self._web_config.problem is None)
        if state != self._configuration_state:
            self._configuration_state = state
            self.instrumentation.reload_successful.set(state)

    def _announce(self, sock: socket.socket) -> None:
        projects = self._parts.loaded.projects
        log.info(
            "listening",
            address=show_address(sock),
            version=__version__,
            projects=",".join(project.name for project in projects),
            polls=len(self.plans),
            requests_per_minute=round(sum(project.requests_per_minute for project in projects)),
        )

    async def _reload(self, scheduler: Scheduler) -> str | None:
        """Puts the configuration in place as it is now; the message of what is wrong with it, or None."""
        notify.notify(notify.reloading())
        try:
            return await self._take_up(scheduler)
        finally:
            notify.notify(notify.READY)

    async def _take_up(self, scheduler: Scheduler) -> str | None:
        old = self._parts
        try:
            loaded = self._load()
        except ConfigError as error:
            self._reload_problem = str(error)
            self._note_configuration()
            log.error("reload refused", error=str(error), effect="the running configuration stays")
            return str(error)
        self._parts = self._build(loaded, old)
        self._apply(self._parts)
        self._schedule(scheduler)
        kept = self._parts.pollers.values()
        for name, poller in old.pollers.items():
            if poller not in kept:
                await poller.retire()
            if name not in self._parts.pollers:
                self.instrumentation.end_project(name)
        log.info("reloaded", projects=",".join(self._parts.pollers), polls=len(self.plans))
        before, after = old.loaded.settings, loaded.settings
        if (before.web, before.log) != (after.web, after.log):
            log.warning("new web and log options need a restart", effect="the old ones stay")
        return None

    def _build(self, loaded: Loaded, running: Parts | None) -> Parts:
        """A project that is configured as before keeps its poller, and with it its connections and its pace."""
        kept = running.unchanged(loaded) if running else {}
        pollers = {p.name: kept.get(p.name) or self._poller(p) for p in loaded.projects}
        plans = [plan for project in loaded.projects for plan in _plans(project, loaded.settings)]
        return Parts(loaded, pollers, plans, Exposition(loaded.settings.gpu_hourly_cost))

    def _poller(self, project: Project) -> Poller:
        endpoint = Endpoint(
            project.name,
            project.base_url,
            functools.partial(_key, project.key),
            project.poll_timeout,
            project.max_requests_per_second,
        )
        client = Client(endpoint, self.instrumentation)
        return Poller(client, self.store, self.instrumentation, clock)

    def _apply(self, parts: Parts) -> None:
        settings = parts.loaded.settings
        self.store.configure([_target(project, settings) for project in parts.loaded.projects])
        for name in parts.pollers:
            fetches = sorted({plan.fetch for plan in parts.plans if plan.project == name})
            self.instrumentation.start_project(name, fetches, (*REASONS, BUG))
        for project, file in parts.loaded.open_key_files():
            log.warning("key file can be read by everyone", project=project, file=file, hint=f"chmod o-r {file}")
        self._reload_problem = None
        self._note_configuration()
        self.instrumentation.reload_timestamp.set(clock().unix)
        self.instrumentation.shard_info.clear()
        self.instrumentation.shard_info.labels(settings.shard.index, settings.shard.total).set(1)
        self.instrumentation.shards.set(settings.shard.total)

    def _schedule(self, scheduler: Scheduler) -> None:
        gaps = {p.name: 1 / p.max_requests_per_second for p in self._parts.loaded.projects}
        scheduler.plan(self.plans, self._poll, gaps)

    async def _poll(self, plan: Plan) -> None:
        poller = self._parts.pollers.get(plan.project)
        if poller is not None:
            await poller.poll(plan)
            if plan.fetch == "list":
                self._rendering.stir()


@contextlib.contextmanager
def _signals(stop: asyncio.Event, reload: Callable[[], Coroutine[Any, Any, object]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[object]] = set()

    def start_reload() -> None:
        task = loop.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, start_reload)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _plans(project: Project, settings: Settings) -> Iterator[Plan]:
    """A project's timers; none where its deployments are all other shards'."""
    keys = _keys(project, settings)
    if project.fetch == "each":
        yield from (Plan(project.name, "each", interval, key) for key, interval in (keys or {}).items())
    elif keys is None or keys:
        yield Plan(project.name, "list", project.poll_interval)
    if project.queue and (keys is None or keys):
        yield Plan(project.name, "queue", project.poll_interval)


def _target(project: Project, settings: Settings) -> Target:
    keys = _keys(project, settings)
    limits = Limits(
        stale_after=project.stale_after,
        replica_metrics=settings.replica_metrics,
        max_replicas_per_deployment=settings.max_replicas_per_deployment,
        max_deployments_per_project=settings.max_deployments_per_project,
    )
    wanted = functools.partial(_is_wanted, project, settings)
    return Target(project.name, None if keys is None else tuple(keys), project.fetch == "list", limits, wanted)


def _keys(project: Project, settings: Settings) -> dict[str, float] | None:
    """The named deployments that are this shard's, with their intervals; None where they are discovered."""
    if project.deployments is None:
        return None
    shard = settings.shard
    return {key: each for key, each in project.deployments.items() if belongs(key, shard.index, shard.total)}


def _is_wanted(project: Project, settings: Settings, deployment: Deployment) -> bool:
    """Whether a discovered deployment is this exporter's."""
    name = deployment.name or deployment.id or ""
    return project.wants(name) and belongs(deployment.id or name, settings.shard.index, settings.shard.total)


def _key(source: KeySource) -> str:
    try:
        return source.read()
    except KeyUnusable as error:
        raise Unauthorized(f"no usable API key: {error}") from None
