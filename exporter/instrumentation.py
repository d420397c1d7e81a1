"""The exporter's metrics about itself, in registries of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.counted import Counter, Gauge, Histogram

NO_ANSWER = "error"  # the `code` of a request that got no status line
# What the API documents, and what stands in front of such APIs; each starts at 0 so that rate() sees the first.
CODES = ("200", "400", "401", "403", "404", "429", "500", "502", "503", "504", NO_ANSWER)
DROPS = (
    "replica_limit",
    "deployment_limit",
    "duplicate_deployment",
    "invalid_value",
    "label_length_limit",
    "entry_limit",
    "body_size_limit",
)
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


class Instrumentation:
    """Counters that outlive a reload."""

    def __init__(self, *, runtime: bool = True, dropped_log_lines: Callable[[], int] = lambda: 0) -> None:
        """`runtime`: also process_* and python_*, which a textfile must not repeat from node_exporter's own.

        `registry` has what is written to; what is in `live` has to be asked each time."""
        self.registry = CollectorRegistry(auto_describe=True)  # so that name[] finds every collector
        self.live = CollectorRegistry(auto_describe=True)
        self.build_info = Gauge(
            "together_exporter_build_info",
            "Always 1; the exporter's version.",
            ["version"],
            registry=self.registry,
        )
        self.build_info.labels(__version__).set(1)
        self.poll_duration = Histogram(
            "together_exporter_poll_duration_seconds",
            "How long polls took, retries included; fetch=each is one deployment, list one project, queue one queue.",
            ["project", "fetch"],
            buckets=POLL_BUCKETS,
            registry=self.registry,
        )
        self.polls = Counter(
            "together_exporter_polls",
            "Polls that ended, successful or not.",
            ["project", "fetch"],
            registry=self.registry,
        )
        self.poll_failures = Counter(
            "together_exporter_poll_failures",
            "Polls that failed, by the reason that together_deployment_poll_error shows.",
            ["project", "fetch", "reason"],
            registry=self.registry,
        )
        self.polls_missed = Counter(
            "together_exporter_polls_missed",
            "Scheduled polls that did not run because an earlier one took too long or the exporter was busy.",
            registry=self.registry,
        )
        self.api_requests = Counter(
            "together_exporter_api_requests",
            "HTTP requests sent to the API, retries included, by status code; code=error got no answer.",
            ["project", "code"],
            registry=self.registry,
        )
        self.series_dropped = Counter(
            "together_exporter_series_dropped",
            "What polls brought and /metrics leaves out: replicas beyond max_replicas_per_deployment "
            "(replica_limit), deployments beyond max_deployments_per_project (deployment_limit) or under a name "
            "that another one has (duplicate_deployment), fields whose value cannot be read (invalid_value), the end "
            "of values too long for a label (label_length_limit), volumes or variables beyond 1,000 (entry_limit), "
            "answers too large to be read (body_size_limit). "
            "Counted at each poll.",
            ["reason"],
            registry=self.registry,
        )
        self.refused = Counter(
            "together_exporter_http_clients_refused",
            "Requests and connections to the exporter that were turned away: too many connections, scrapes or pages "
            "at once, headers too large, a client too slow, a failed TLS handshake, a wrong password, the "
            "configured rate.",
            ["reason"],
            registry=self.registry,
        )
        self.reload_successful = Gauge(
            "together_exporter_config_last_reload_successful",
            "1 if the running configuration is the one last asked for, 0 if the last reload was refused.",
            registry=self.registry,
        )
        self.reload_timestamp = Gauge(
            "together_exporter_config_last_reload_success_timestamp_seconds",
            "When the running configuration was loaded, in seconds since 1970.",
            registry=self.registry,
        )
        self.shard_info = Gauge(
            "together_exporter_shard_info",
            "Always 1; which of how many shards this exporter is (--shard.index, --shard.total).",
            ["index", "total"],
            registry=self.registry,
        )
        self.shards = Gauge(
            "together_exporter_shards",
            "How many shards share the deployments (--shard.total).",
            registry=self.registry,
        )
        for reason in DROPS:
            self.series_dropped.labels(reason)
        for reason in REFUSALS:
            self.refused.labels(reason)
        self.live.register(_DroppedLogLines(dropped_log_lines))
        if runtime:
            ProcessCollector(registry=self.live)
            PlatformCollector(registry=self.live)
            GCCollector(registry=self.live)

    def start_project(self, project: str, fetches: Iterable[str], reasons: Collection[str]) -> None:
        """Every label set that can be known beforehand appears with 0."""
        for fetch in fetches:
            self.polls.labels(project, fetch)
            self.poll_duration.labels(project, fetch)
            for reason in reasons:
                self.poll_failures.labels(project, fetch, reason)
        for code in CODES:
            self.api_requests.labels(project, code)

    def end_project(self, project: str) -> None:
        """A project that left the configuration leaves no series behind."""
        for family in (self.polls, self.poll_duration, self.poll_failures, self.api_requests):
            family.remove_by_labels({"project": project})


def described() -> Iterable[Metric]:
    """Every metric of the exporter about itself with all its labels, for the reference."""
    instrumentation = Instrumentation(runtime=False)
    instrumentation.start_project("", ("each",), ("",))
    instrumentation.shard_info.labels(0, 1).set(1)
    return (*instrumentation.registry.collect(), *instrumentation.live.collect())
