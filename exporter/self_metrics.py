"""The exporter's metrics about itself, in registries of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.api.client import NO_ANSWER
from exporter.api.errors import REASONS
from exporter.metrics.page import Format

OPENMETRICS_END = b"# EOF\n"

# What the API documents, and what stands in front of such APIs; each starts at 0 so that rate() sees the first.
CODES = ("200", "400", "401", "402", "403", "404", "410", "429", "500", "502", "503", "504", NO_ANSWER)
REFUSALS = (
    "connection_limit",
    "scrape_limit",
    "page_limit",
    "header_limit",
    "slow_client",
    "tls",
    "unauthorized",
    "rate_limit",
)
POLL_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # s; a poll's deadline is 10 s by default

# prometheus_client would add a second series to each counter, which nobody asked for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # has no annotations


class _DroppedLogLines(Collector):
    """Asks at each scrape: the log counts by itself, so that it depends on nothing."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "together_exporter_log_lines_dropped",
            "Log lines that could not be written: nobody reads stderr, it is closed, or its disk is full.",
            self._count(),
        )


class SelfMetrics:
    """What polls write to is in `polling`, which is rendered with each page; the rest, in `live`, with each scrape: a
    poll that is missed changes no page. Counters outlive a reload."""

    def __init__(self, *, runtime: bool = True, dropped_log_lines: Callable[[], int] = lambda: 0) -> None:
        """`runtime`: also process_* and python_*, which a textfile must not repeat from node_exporter's own."""
        self.polling = CollectorRegistry(auto_describe=True)  # so that name[] finds every collector
        self.live = CollectorRegistry(auto_describe=True)
        self.poll_duration = Histogram(
            "together_exporter_poll_duration",
            "How long polls took, retries included; fetch is each for one deployment, list for a project, queue for "
            "all queues of a project.",
            ["project", "fetch"],
            unit="seconds",
            buckets=POLL_BUCKETS,
            registry=self.polling,
        )
        self.polls = Counter(
            "together_exporter_polls",
            "Polls that ended, successful or not.",
            ["project", "fetch"],
            registry=self.polling,
        )
        self.poll_failures = Counter(
            "together_exporter_poll_failures",
            "Polls that failed, by the reason that together_deployment_poll_error shows.",
            ["project", "fetch", "reason"],
            registry=self.polling,
        )
        self.poll_interval = Gauge(
            "together_exporter_poll_interval",
            "The project's poll_interval, as configured.",
            ["project"],
            unit="seconds",
            registry=self.polling,
        )
        self.polls_missed = Counter(
            "together_exporter_polls_missed",
            "Scheduled polls that did not run because an earlier one took too long or the exporter was busy.",
            registry=self.live,
        )
        self.api_requests = Counter(
            "together_exporter_api_requests",
            "HTTP requests sent to the API, retries included, by status code; code=error got no answer.",
            ["project", "code"],
            registry=self.polling,
        )
        self.build_info = Gauge(
            "together_exporter_build_info",
            "Always 1; the exporter's version.",
            ["version"],
            registry=self.live,
        )
        self.build_info.labels(__version__).set(1)
        self.refused = Counter(
            "together_exporter_http_clients_refused",
            "Requests and connections to the exporter that were turned away: too many connections, scrapes or pages "
            "at once, headers too large, a client too slow, a failed TLS handshake, a wrong password, the "
            "configured rate.",
            ["reason"],
            registry=self.live,
        )
        self.reload_successful = Gauge(
            "together_exporter_config_last_reload_successful",
            "1 if the running configuration is the one last asked for, 0 if the last reload was refused.",
            registry=self.live,
        )
        self.reload_timestamp = Gauge(
            "together_exporter_config_last_reload_success_timestamp",
            "When the running configuration was loaded, in seconds since 1970.",
            unit="seconds",
            registry=self.live,
        )
        self.shard_info = Gauge(
            "together_exporter_shard_info",
            "Always 1; which of how many shards this exporter is (--shard.index, --shard.total).",
            ["index", "total"],
            registry=self.live,
        )
        self.shards = Gauge(
            "together_exporter_shards",
            "How many shards share the deployments (--shard.total).",
            registry=self.live,
        )
        for reason in REFUSALS:
            self.refused.labels(reason)
        self.live.register(_DroppedLogLines(dropped_log_lines))
        if runtime:
            ProcessCollector(registry=self.live)
            PlatformCollector(registry=self.live)
            GCCollector(registry=self.live)

    def start_project(self, project: str, interval: float, fetches: Iterable[str]) -> None:
        """Every label set that can be known beforehand appears with 0. `interval`: seconds."""
        self.poll_interval.labels(project).set(interval)
        for fetch in fetches:
            self.polls.labels(project, fetch)
            self.poll_duration.labels(project, fetch)
            for reason in REASONS:
                self.poll_failures.labels(project, fetch, reason)
        for code in CODES:
            self.api_requests.labels(project, code)

    def end_project(self, project: str) -> None:
        """A project that left the configuration leaves no series behind."""
        for family in (self.polls, self.poll_duration, self.poll_failures, self.api_requests, self.poll_interval):
            family.remove_by_labels({"project": project})

    def set_shard(self, index: int, total: int) -> None:
        self.shard_info.clear()
        self.shard_info.labels(index, total).set(1)
        self.shards.set(total)


def exposition(registry: CollectorRegistry, format_: Format, names: frozenset[str] = frozenset()) -> bytes:
    """A registry as text, without the `# EOF` of OpenMetrics; of the families of these names, where there are any."""
    asked: Any = registry.restricted_registry(list(names)) if names else registry
    if format_ == "openmetrics":
        text: bytes = generate_openmetrics(asked)  # type: ignore[no-untyped-call]  # has no annotations
        return text.removesuffix(OPENMETRICS_END)
    return generate_latest(asked)


def described() -> Iterable[Metric]:
    """Every metric of the exporter about itself with all its labels, for the reference."""
    metrics = SelfMetrics(runtime=False)
    metrics.start_project("", 30.0, ("each",))
    metrics.set_shard(0, 1)
    return (*metrics.polling.collect(), *metrics.live.collect())
