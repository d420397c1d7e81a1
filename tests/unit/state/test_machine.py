"""Whatever the API answers, in whatever order things happen: the page is the one of the contract."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.api.errors import ApiError
from exporter.state.records import Limits, Target
from tests.examples import examples
from tests.oracle import Oracle, Series
from tests.oracle_series import Config
from tests.pipeline import Pipeline, answer, failure, listing
from tests.unit.state.stepping import cancelled, stepped

LINE = re.compile(r'^(\w+)(?:\{((?:\w+="[^"]*",?)*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="([^"]*)"')
CONFIGS = (
    Config("p"),
    Config("p", stale_after=60),
    Config("p", max_deployments=2),
    Config("p", include=("a|b|1",)),
    Config("p", exclude=("b",), max_replicas=1),
    Config("p", ("a", "2")),
    Config("p", ("1", "b"), stale_after=60),
    Config("p", ("a",), replica_metrics=False),
    Config("p", ("a", "2"), "each"),
    Config("p", ("2", "c"), "each", stale_after=60),
)
OTHER = Config("q")
REASONS = ("not_found", "server_error", "invalid_response", "unauthorized", "timeout")
TIMES = ("2026-04-01T00:00:05Z", "2026-04-01T00:02:00Z", "2026-04-01T00:10:00+00:00")

replica = st.fixed_dictionaries(
    {"replica_status": st.sampled_from(["Running", "Waiting", "Terminated", "Odd"])},
    optional={
        "replica_ready_since": st.sampled_from(["", "a while ago", *TIMES]),
        "replica_status_reason": st.sampled_from(["CrashLoopBackOff", "OOMKilled", "Evicted", "Odd"]),
        "revision_id": st.sampled_from(["rev-1", "rev-2"]),
        "volume_preload_status": st.sampled_from(["InProgress", "Completed", "Odd"]),
        "volume_preload_started_at": st.sampled_from(TIMES),
        "image": st.just("i:1"),
    },
)
scaling = st.fixed_dictionaries(
    {"metric": st.sampled_from(["QueueBacklogPerWorker", "HTTPTotalRequests"])},
    optional={"target": st.sampled_from([1, "1.05", None]), "model": st.sampled_from(["m", ""])},
)
deployments = st.fixed_dictionaries(
    {"id": st.sampled_from(["1", "2", "3", "a"]), "name": st.sampled_from(["a", "b", "c", "1", "2"])},
    optional={
        "status": st.sampled_from(["Ready", "Failed", "Updating", "Brand New", None]),
        "created_at": st.sampled_from([None, *TIMES]),
        "ready_replicas": st.sampled_from([0, 1, "2", None]),
        "cpu": st.sampled_from([8, "7.5", "much"]),
        "memory": st.just(64),
        "gpu_type": st.sampled_from(["h100", None]),
        "gpu_count": st.sampled_from([0, 2]),
        "replica_events": st.dictionaries(st.sampled_from(["r1", "r2", "r3"]), replica, max_size=3),
        "environment_variables": st.just([{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "rev-1"}]),
        "autoscaling": scaling,
    },
)
items = st.lists(deployments, max_size=5, unique_by=lambda item: item["id"])
outcomes = st.one_of(deployments, st.sampled_from(REASONS))
counts = st.fixed_dictionaries({"messages_waiting": st.integers(0, 9)}, optional={"messages_running": st.just("3")})
turns = st.integers(0, 25)


def target_of(config: Config) -> Target:
    limits = Limits(config.replica_metrics, config.max_replicas, config.max_deployments)
    return Target(
        config.project,
        config.keys,
        config.fetch == "list",
        config.stale_after,
        limits,
        config.include,
        config.exclude,
        has_scaling_queues=True,
    )


def body_of(outcome: Any) -> bytes | ApiError:
    return failure(outcome) if isinstance(outcome, str) else answer(outcome)


def series_of(page: str) -> Series:
    found: Series = {}
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match, line
        key = (match[1], frozenset(LABEL.findall(match[2] or "")))
        assert key not in found, line
        found[key] = float(match[3])
    return found


class Machine(RuleBasedStateMachine):
    """One project that lives through everything, beside another whose polls come in between."""

    def __init__(self) -> None:
        super().__init__()
        self.second = 0.0
        self.config = CONFIGS[0]

    @initialize(config=st.sampled_from(CONFIGS))
    def start(self, config: Config) -> None:
        self.config = config
        self.pipeline = Pipeline(target_of(config), target_of(OTHER))
        self.oracle = Oracle(config, OTHER)

    @property
    def is_listed(self) -> bool:
        return self.config.fetch == "list"

    @rule(seconds=st.sampled_from([1, 30, 59, 60, 61, 300]))
    def time_passes(self, seconds: int) -> None:
        self.second += seconds

    @precondition(lambda self: self.is_listed)
    @rule(data=items, repeated=st.booleans(), has_more=st.sampled_from([False, False, True]))
    def a_list_is_polled(self, data: list[Any], repeated: bool, has_more: bool) -> None:
        outcome = {"data": [*data, *data[:1]] if repeated else data, "has_more": has_more}
        self.pipeline.list("p", answer(outcome), self.second)
        self.oracle.list("p", outcome, self.second)

    @precondition(lambda self: self.is_listed)
    @rule(reason=st.sampled_from(REASONS))
    def a_list_fails(self, reason: str) -> None:
        self.pipeline.list("p", failure(reason), self.second)
        self.oracle.list("p", reason, self.second)

    @precondition(lambda self: not self.is_listed)
    @rule(outcome=outcomes, place=st.integers(0, 1))
    def one_is_polled(self, outcome: Any, place: int) -> None:
        key = (self.config.keys or ())[place]
        self.pipeline.one("p", key, body_of(outcome), self.second)
        self.oracle.one("p", key, outcome, self.second)

    @rule(name=st.sampled_from(["a", "b", "m"]), outcome=st.one_of(counts, st.sampled_from(REASONS)))
    def a_queue_is_polled(self, name: str, outcome: Any) -> None:
        self.pipeline.queue("p", name, body_of(outcome), self.second)
        self.oracle.queue("p", name, outcome, self.second)

    @rule(data=items)
    def the_other_project_is_polled(self, data: list[Any]) -> None:
        self.pipeline.list("q", listing(*data), self.second)
        self.oracle.list("q", {"data": data}, self.second)

    @rule(config=st.sampled_from(CONFIGS))
    def a_reload(self, config: Config) -> None:
        self.config = config
        self.pipeline.configure(target_of(config), target_of(OTHER))
        self.oracle.reload(config, OTHER)

    @rule(config=st.sampled_from(CONFIGS))
    def the_project_is_removed_and_comes_back(self, config: Config) -> None:
        self.pipeline.configure(target_of(OTHER))
        self.oracle.reload(OTHER)
        self.a_reload(config)

    @precondition(lambda self: self.is_listed)
    @rule(data=items, turn=turns)
    def a_list_is_cancelled(self, data: list[Any], turn: int) -> None:
        if not cancelled(self.pipeline.polled_list("p", listing(*data), self.second), turn):
            self.oracle.list("p", {"data": data}, self.second)

    @precondition(lambda self: self.is_listed)
    @rule(data=items, turn=turns, others=st.data())
    def a_list_is_interrupted(self, data: list[Any], turn: int, others: st.DataObject) -> None:
        """By what somebody else commits while it is applied: it is built again, on the new value."""
        happens: Callable[[], None] = others.draw(
            st.sampled_from([self._queue_comes, self._list_fails, self._reload_comes, self._other_list_fails])
        )
        stepped(
            self.pipeline.polled_list("p", listing(*data), self.second),
            lambda now: happens() if now == turn else None,
        )
        if self.is_listed:
            self.oracle.list("p", {"data": data}, self.second)

    def _queue_comes(self) -> None:
        self.pipeline.queue("p", "a", answer({"messages_waiting": 5}), self.second)
        self.oracle.queue("p", "a", {"messages_waiting": 5}, self.second)

    def _list_fails(self) -> None:
        self.pipeline.failed_list("p", failure("timeout"))
        self.oracle.list("p", "timeout", self.second)

    def _reload_comes(self) -> None:
        self.a_reload(CONFIGS[(CONFIGS.index(self.config) + 1) % len(CONFIGS)])

    def _other_list_fails(self) -> None:
        self.pipeline.failed_list("q", failure("timeout"))
        self.oracle.list("q", "timeout", self.second)

    @invariant()
    def the_page_is_the_contracts(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        found, expected = series_of(self.pipeline.text(self.second)), self.oracle.page(self.second)
        missing = {key: expected[key] for key in expected if found.get(key) != expected[key]}
        too_much = {key: found[key] for key in found if expected.get(key) != found[key]}
        assert (missing, too_much) == ({}, {})


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=examples(150),
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
