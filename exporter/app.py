"""Wiring: settings become objects; start, swap at a reload, stop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
import socket
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import ASGIApp

from exporter import __version__, systemd
from exporter import log as log_lines
from exporter.api.client import Client, Endpoint
from exporter.api.errors import Unauthorized
from exporter.api.rate_limit import RateLimit
from exporter.metrics.render import Renderer
from exporter.plans import plans, targets
from exporter.polling.fetches import FETCHES
from exporter.polling.plan import Plan
from exporter.polling.poller import Poller
from exporter.polling.reporting import Reporter
from exporter.polling.scheduler import Scheduler
from exporter.reload import Reloader
from exporter.self_metrics import SelfMetrics, exposition
from exporter.settings.keys import KeyReader, KeySource, KeyUnusable
from exporter.settings.load import Loaded
from exporter.settings.model import Settings
from exporter.settings.problems import ConfigError, Problem
from exporter.settings.projects import Project
from exporter.settings.watched import WatchedWebConfig
from exporter.state.instant import Instant
from exporter.state.records import Snapshot, Target
from exporter.state.store import Store
from exporter.status.facts import Facts, ProjectFacts
from exporter.web import app as web_app
from exporter.web import discovery
from exporter.web import status as web_status
from exporter.web.access import Access, AccessMiddleware
from exporter.web.limit import RequestLimit
from exporter.web.listener import show_address
from exporter.web.metrics import MetricsEndpoint
from exporter.web.prefix import RoutePrefix
from exporter.web.publisher import Publisher
from exporter.web.refusals import Refusals
from exporter.web.server import Server

# Allocations between two garbage collections, by generation. Parsed responses have no cycles, and with the defaults
# each large response would cause several traversals of all objects.
GARBAGE_THRESHOLDS = (10_000, 2, 2_500)

log = structlog.get_logger()


def clock() -> Instant:
    return Instant(time.monotonic(), time.time())


Identity = tuple[str, str, KeySource]  # name, base URL and key of a project


@dataclass(frozen=True, slots=True)
class Running:
    """Objects built from a configuration; replaced by a reload. `limits`: kept while a project's identity is unchanged,
    so that a reload does not reset rate limits and pauses."""

    loaded: Loaded
    limits: dict[Identity, RateLimit]
    pollers: dict[str, Poller]
    plans: list[Plan]


class App:
    """Polls and serves until stopped. `load`: reads the configuration, at start and for each reload."""

    def __init__(self, load: Callable[[], Loaded], *, runtime_metrics: bool = True) -> None:
        """Raises ConfigError."""
        self._load = load
        self.metrics = SelfMetrics(runtime=runtime_metrics, dropped_log_lines=log_lines.dropped_lines)
        self.store = Store()
        loaded = load()
        log_lines.configure(loaded.settings.log.level, loaded.settings.log.format)
        self._web_config = WatchedWebConfig(loaded.settings.web.config_file, loaded.web)
        self._publisher = Publisher(Renderer(loaded.settings.gpu_hourly_cost), self.store, self.metrics, clock)
        self._scheduler = Scheduler(self.metrics.polls_missed.inc)
        self._reloader = Reloader(self._reload, self.metrics, time.time)
        self.metrics.reload_successful.set_function(self._is_last_reload_successful)
        self._started = time.time()
        self._settings_at_start = loaded.settings
        self._running = self._build(loaded, {}, {})
        self._put_in_place(self._running)
        self._reloader.succeeded()

    @property
    def settings(self) -> Settings:
        return self._running.loaded.settings

    @property
    def plans(self) -> list[Plan]:
        return self._running.plans

    async def snapshot(self) -> Snapshot:
        return await self.store.snapshot(clock())

    async def page(self) -> bytes:
        """The complete exposition in the text format, for one-shot commands."""
        await self._publisher.render()
        own = (exposition(registry, "text") for registry in (self.metrics.polling, self.metrics.live))
        return b"".join((*self._publisher.current.page.pieces("text"), *own))

    async def poll_once(self, ended: Callable[[], object] = lambda: None) -> bool:
        """Runs every plan once and returns whether all succeeded. `ended`: called after each."""

        async def poll(plan: Plan) -> bool:
            succeeded = await self._running.pollers[plan.project].poll(plan)
            ended()
            return succeeded

        first = [plan for plan in self.plans if not FETCHES[plan.fetch].is_opt_in]
        last = [plan for plan in self.plans if FETCHES[plan.fetch].is_opt_in]  # depend on responses about deployments
        results = [await asyncio.gather(*map(poll, wave)) for wave in (first, last)]
        return all(succeeded for wave in results for succeeded in wave)

    async def names(self, project: str) -> list[str]:
        """Names and IDs of all deployments of the project; empty on errors."""
        return await self._running.pollers[project].names()

    async def close(self) -> None:
        for poller in self._running.pollers.values():
            await poller.close()

    async def serve(self, socks: Sequence[socket.socket]) -> None:
        """Serves until SIGTERM, SIGINT or cancellation."""
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        stop = asyncio.Event()
        web = self.settings.web
        refusals = Refusals(self.metrics)
        lifecycle = self._reloader.reload if web.enable_lifecycle else None
        app = web_app.build(self._limited(refusals), self._is_ready, lifecycle)
        app = RoutePrefix(app, web.route_prefix) if web.route_prefix else app
        ready_path = f"{web.route_prefix}{web_app.READY}"
        app = AccessMiddleware(app, self._access, refusals, lambda path: path != ready_path or self._is_ready())
        server = Server(app, self._access, refusals, max_connections=web.max_connections)
        with _signals(stop, self._reloader.reload):
            self._schedule(self._running)
            self._scheduler.start()
            serving = asyncio.create_task(server.serve(sockets=list(socks)))
            self._announce(socks)
            systemd.notify(systemd.READY)
            self._publisher.request_render()  # a shard without deployments has no polls to trigger it
            rendering = asyncio.create_task(self._publisher.render_loop())
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                systemd.notify(systemd.STOPPING)
                log.info("stopping")
                self._scheduler.stop()
                server.stop()
                stopping.cancel()
                rendering.cancel()
                await serving
                await self.close()
                log.info("stopped")

    def _limited(self, refusals: Refusals) -> dict[str, ASGIApp]:
        """Endpoints with responses that grow with the fleet, with limits on concurrent requests."""
        web = self.settings.web
        reports = web_status.StatusReports(self._facts, web.telemetry_path)
        metrics = MetricsEndpoint(self._publisher, self.metrics)
        scrapes = RequestLimit(metrics, web.max_requests, refusals, "scrape_limit")
        pages = RequestLimit(web_status.build(reports), web_status.MAX_CONCURRENT, refusals, "page_limit")
        targets = discovery.build(self.snapshot, self._is_ready)
        targets = RequestLimit(targets, web_status.MAX_CONCURRENT, refusals, "page_limit")
        return {web.telemetry_path: scrapes, **dict.fromkeys(web_status.PATHS, pages), discovery.PATH: targets}

    def _is_ready(self) -> bool:
        """Whether every project has been polled once and the result is on the page."""
        return self._publisher.current.page.is_ready

    async def _facts(self) -> Facts:
        """Facts for the status page."""
        next_polls: dict[str, float] = {}  # by project, seconds since 1970
        due = self._scheduler.next_polls()
        for plan in self.plans:
            if plan.id in due:
                timestamp = due[plan.id].timestamp()
                next_polls[plan.project] = min(next_polls.get(plan.project, timestamp), timestamp)
        polled = {plan.project for plan in self.plans}
        projects = [
            ProjectFacts(
                name=project.name,
                base_url=project.base_url,
                fetch=project.fetch,
                poll_interval=project.poll_interval,
                last_poll=last.unix if (last := self._running.pollers[project.name].last_poll) else None,
                next_poll=next_polls.get(project.name),
                is_polled_here=project.name in polled,
            )
            for project in self._running.loaded.projects
        ]
        return Facts(
            version=__version__,
            now=clock(),
            started=self._started,
            configuration_error=self._reloader.problem or self._web_config.problem,
            shard=(self.settings.shard.index, self.settings.shard.total),
            projects=tuple(projects),
            snapshot=await self.snapshot(),
            prices=self.settings.gpu_hourly_cost,
        )

    def _access(self) -> Access:
        """Access rules of the current web configuration."""
        config = self._web_config.current()
        return Access(config.tls, config.allowed_sans, config.users, config.headers, config.rate)

    def _is_last_reload_successful(self) -> float:
        return float(self._reloader.problem is None and self._web_config.problem is None)

    def _announce(self, socks: Sequence[socket.socket]) -> None:
        projects = self._running.loaded.projects
        log.info(
            "listening",
            address=",".join(map(show_address, socks)),
            version=__version__,
            projects=",".join(project.name for project in projects),
            polls=len(self.plans),
            requests_per_minute=round(sum(project.requests_per_minute for project in projects)),
        )

    async def _reload(self) -> None:
        """Builds the new configuration completely, then swaps it in. Raises ConfigError and any other exception."""
        loaded = await asyncio.to_thread(self._load)  # a hanging file system must not block the loop
        old = self._running
        kept = _unchanged(old, loaded)
        new = self._build(loaded, kept, old.limits)
        configured, renderer = targets(loaded), None
        if loaded.settings.gpu_hourly_cost != old.loaded.settings.gpu_hourly_cost:
            renderer = Renderer(loaded.settings.gpu_hourly_cost)
        retired = [poller for name, poller in old.pollers.items() if new.pollers.get(name) is not poller]
        for poller in retired:
            poller.cancel()  # before the swap, so that polls of the old configuration commit nothing after it
        self._running = new
        self._put_in_place(new, configured, new.pollers.keys() - kept.keys())
        if renderer is not None:
            self._publisher.use(renderer)
        for poller in retired:
            await poller.close()
        # after the last request, which is counted, has ended
        for name in old.pollers.keys() - new.pollers.keys():
            self.metrics.end_project(name)
        for name, fetch in _fetches(old.plans) - _fetches(new.plans):
            self.metrics.end_fetch(name, fetch)
        self._schedule(new, kept)  # after the cancelled polls ended, otherwise their plans would be skipped
        await self._publisher.render_or_keep()  # removed series are gone when the reload is reported
        log.info("configuration reloaded", projects=",".join(new.pollers), polls=len(new.plans))
        before, after = self._settings_at_start, loaded.settings
        if (before.web, before.log) != (after.web, after.log):
            log.warning("changed web and log options require a restart", effect="previous options stay active")

    def _build(self, loaded: Loaded, kept: dict[str, Poller], limits: dict[Identity, RateLimit]) -> Running:
        """Unchanged projects keep their poller with its connections. Raises ConfigError."""
        known = {_identity(project): project.max_requests_per_second for project in loaded.projects}
        limits = {each: limits.get(each) or RateLimit(rate, time.monotonic) for each, rate in known.items()}
        pollers = {
            project.name: kept.get(project.name) or self._poller(project, limits[_identity(project)])
            for project in loaded.projects
        }
        return Running(loaded, limits, pollers, plans(loaded))

    def _poller(self, project: Project, limit: RateLimit) -> Poller:
        endpoint = Endpoint(
            project.name,
            project.base_url,
            functools.partial(_key, KeyReader(project.key)),
            project.poll_timeout,
            project.proxy.get_secret_value() if project.proxy else None,
            project.tls,
            project.shortest_interval,
        )
        reporter = Reporter(project.name, self.metrics)
        try:
            client = Client(endpoint, limit, reporter.request_ended)
        except ValueError as error:
            problem = Problem(f"project {project.name}", "base_url", f"cannot be used: {error}; correct it")
            raise ConfigError([problem]) from None
        return Poller(client, self.store, reporter, clock, self._publisher.request_render)

    def _put_in_place(
        self, running: Running, configured: list[Target] | None = None, changed: Collection[str] = ()
    ) -> None:
        settings = running.loaded.settings
        self.store.configure(targets(running.loaded) if configured is None else configured, changed)
        planned = _fetches(running.plans)
        for project in running.loaded.projects:
            fetches = sorted(fetch for name, fetch in planned if name == project.name)
            self.metrics.start_project(project.name, project.poll_interval, fetches)
            running.limits[_identity(project)].requests_per_second = project.max_requests_per_second
        for name, file in running.loaded.open_key_files():
            log.warning("key file is world-readable", project=name, file=file, hint=f"chmod o-r {file}")
        self.metrics.set_shard(settings.shard.index, settings.shard.total)

    def _schedule(self, running: Running, kept: dict[str, Poller] | None = None) -> None:
        """Projects in `kept` keep their schedule; others are polled immediately."""
        gaps = {project.name: 1 / project.max_requests_per_second for project in running.loaded.projects}
        self._scheduler.plan(running.plans, self._poll, gaps, frozenset(kept or ()))

    async def _poll(self, plan: Plan) -> None:
        poller = self._running.pollers.get(plan.project)
        if poller is not None:
            await poller.poll(plan)


def _fetches(plans: Iterable[Plan]) -> set[tuple[str, str]]:
    """Project and fetch of all plans."""
    return {(plan.project, plan.fetch) for plan in plans}


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
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, {signal.SIGHUP}
    )  # blocked since the start, so that it does not terminate the process
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _identity(project: Project) -> Identity:
    return project.name, project.base_url, project.key


def _unchanged(running: Running, loaded: Loaded) -> dict[str, Poller]:
    """Pollers of projects with an unchanged configuration."""
    if running.loaded.settings.shard != loaded.settings.shard:
        return {}
    before = running.loaded.projects
    return {project.name: running.pollers[project.name] for project in loaded.projects if project in before}


async def _key(reader: KeyReader) -> str:
    try:
        return await reader.read()
    except KeyUnusable as error:
        raise Unauthorized(f"no valid API key: {error}") from None
