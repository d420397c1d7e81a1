"""Metrics about the exporter, in separate registries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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

# Documented status codes and those of common proxies. Each starts at 0 so that rate() counts the first request.
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

# Otherwise prometheus_client adds a _created series to each counter.
disable_created_metrics()  # type: ignore[no-untyped-call]  # has no annotations


class _DroppedLogLines(Collector):
    """Reads the counter of the log module at each scrape."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "together_exporter_log_lines_dropped",
            "Total number of log lines dropped because stderr was blocked, closed or on a full disk.",
            self._count(),
        )


class SelfMetrics:
    """`polling`: metrics updated by polls, rendered with each page. `live`: all others, rendered at each scrape.
    Counters keep their values across reloads."""

    def __init__(self, *, runtime: bool = True, dropped_log_lines: Callable[[], int] = lambda: 0) -> None:
        """`runtime`: include process_* and python_*; off for textfiles, where they would clash with node_exporter's."""
        self.polling = CollectorRegistry(auto_describe=True)  # so that name[] finds every collector
        self.live = CollectorRegistry(auto_describe=True)
        self.poll_duration = Histogram(
            "together_exporter_poll_duration",
            "Duration of polls including retries. fetch is each for a single deployment, list for a project, queue for "
            "all queues of a project, revisions for all changed revisions of a project.",
            ["project", "fetch"],
            unit="seconds",
            buckets=POLL_BUCKETS,
            registry=self.polling,
        )
        self.polls = Counter(
            "together_exporter_polls",
            "Total number of completed polls, successful or not.",
            ["project", "fetch"],
            registry=self.polling,
        )
        self.poll_failures = Counter(
            "together_exporter_poll_failures",
            "Total number of failed polls by reason, as in together_deployment_poll_error.",
            ["project", "fetch", "reason"],
            registry=self.polling,
        )
        self.poll_interval = Gauge(
            "together_exporter_poll_interval",
            "Configured poll_interval of the project.",
            ["project"],
            unit="seconds",
            registry=self.polling,
        )
        self.polls_missed = Counter(
            "together_exporter_polls_missed",
            "Total number of scheduled polls that were skipped because the previous poll was still running or the "
            "exporter was overloaded.",
            registry=self.live,
        )
        self.api_requests = Counter(
            "together_exporter_api_requests",
            "Total number of HTTP requests to the API including retries, by status code; code is error if there was no "
            "response.",
            ["project", "code"],
            registry=self.polling,
        )
        self.build_info = Gauge(
            "together_exporter_build_info",
            "Version of the exporter, always 1.",
            ["version"],
            registry=self.live,
        )
        self.build_info.labels(__version__).set(1)
        self.refused = Counter(
            "together_exporter_http_clients_refused",
            "Total number of requests and connections refused by the exporter, by reason: limits on concurrent "
            "connections, scrapes and status pages, header size, slow client, failed TLS handshake, wrong password, "
            "configured rate limit.",
            ["reason"],
            registry=self.live,
        )
        self.reload_successful = Gauge(
            "together_exporter_config_last_reload_successful",
            "1 if the last configuration reload succeeded, 0 if it failed.",
            registry=self.live,
        )
        self.reload_timestamp = Gauge(
            "together_exporter_config_last_reload_success_timestamp",
            "Unix timestamp of the last successful configuration load.",
            unit="seconds",
            registry=self.live,
        )
        self.shard_info = Gauge(
            "together_exporter_shard_info",
            "Shard index and total of this exporter, always 1 (--shard.index, --shard.total).",
            ["index", "total"],
            registry=self.live,
        )
        self.shards = Gauge(
            "together_exporter_shards",
            "Number of shards (--shard.total).",
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
        """Initializes all predictable label sets to 0. `interval`: seconds."""
        self.poll_interval.labels(project).set(interval)
        for fetch in fetches:
            self.polls.labels(project, fetch)
            self.poll_duration.labels(project, fetch)
            for reason in REASONS:
                self.poll_failures.labels(project, fetch, reason)
        for code in CODES:
            self.api_requests.labels(project, code)

    def end_project(self, project: str) -> None:
        """Removes the series of a project that is no longer configured."""
        for family in (self.polls, self.poll_duration, self.poll_failures, self.api_requests, self.poll_interval):
            family.remove_by_labels({"project": project})

    def end_fetch(self, project: str, fetch: str) -> None:
        """Removes the series of a fetch that is no longer configured."""
        for family in (self.polls, self.poll_duration, self.poll_failures):
            family.remove_by_labels({"project": project, "fetch": fetch})

    def set_shard(self, index: int, total: int) -> None:
        self.shard_info.clear()
        self.shard_info.labels(index, total).set(1)
        self.shards.set(total)


class _Copy(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def copied(registry: CollectorRegistry) -> CollectorRegistry:
    """A registry with the present values of another one."""
    copy = CollectorRegistry(auto_describe=True)
    copy.register(_Copy(list(registry.collect())))
    return copy


def exposition(registry: CollectorRegistry, format_: Format, names: frozenset[str] = frozenset()) -> bytes:
    """A registry as text, without the `# EOF` of OpenMetrics; limited to the families in `names` if not empty."""
    selected: Any = registry.restricted_registry(list(names)) if names else registry
    if format_ == "openmetrics":
        text: bytes = generate_openmetrics(selected)  # type: ignore[no-untyped-call]  # has no annotations
        return text.removesuffix(OPENMETRICS_END)
    return generate_latest(selected)


def described() -> Iterable[Metric]:
    """All metrics about the exporter with all their labels, for the metric reference."""
    metrics = SelfMetrics(runtime=False)
    metrics.start_project("", 30.0, ("each",))
    metrics.set_shard(0, 1)
    return (*metrics.polling.collect(), *metrics.live.collect())
