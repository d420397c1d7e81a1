"""What is counted between polls, against a scripted API that knows the truth."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from exporter.api.errors import PollTimeout
from exporter.state.reasons import CLASSES
from exporter.state.records import Target
from tests.pipeline import run
from tests.unit.polling.harness import Harness, error, listed, one

ROUNDS, SEEDS = 150, range(4)
STATUSES = ("Ready", "Updating", "Scaling", "Failed", "ScaledToZero")
REASONS = {None: "other", "CrashLoopBackOff": "crash", "OOMKilled": "memory", "Unschedulable": "capacity"}
INTERVAL = 30.0  # s


@dataclass
class Deployment:
    """One deployment that changes by chance from one answer to the next, and what has been served of it."""

    name: str
    random: random.Random
    status: str | None = None
    reasons: dict[str, str | None] = field(default_factory=dict)  # of the last reason each replica gave
    served: set[str] | None = None  # the replicas of the last answer that listed any
    first: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    started: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    born: int = 0

    def answer(self, *, is_null: bool) -> dict[str, Any]:
        """The next one. `is_null`: it says nothing of the replicas."""
        status = self.random.choice(STATUSES)
        if self.status is not None:
            self.changes[status] += status != self.status
        self.status = status
        return one(self.name, f"id-{self.name}", status=status, replica_events=None if is_null else self._events())

    def _events(self) -> dict[str, dict[str, Any]]:
        names = {name for name in self.served or () if self.random.random() < 0.7}
        for _ in range(self.random.randrange(4)):
            self.born += 1
            names.add(f"{self.name}-{self.born}")
        events = {}
        for name in sorted(names):
            reason = self.random.choice([*REASONS])
            events[name] = {"replica_status": "Waiting", **({"replica_status_reason": reason} if reason else {})}
        if self.served is None:
            self.first = len(names)
        else:
            self.started += len(names - self.served)
            self.ended.update(REASONS[self.reasons.get(name)] for name in self.served - names)
        self.reasons = {name: events[name].get("replica_status_reason", self.reasons.get(name)) for name in names}
        self.served = names
        return events


def rounds(seed: int) -> Iterator[tuple[Harness, list[Deployment]]]:
    """Polls with failures and null replicas in between; after each successful one."""
    chance = random.Random(seed)  # noqa: S311 - a script
    fleet = [Deployment(name, random.Random(f"{seed}{name}")) for name in ("a", "b", "c")]  # noqa: S311 - as above
    harness = Harness(Target("p", stale_after=1e9))
    for number in range(ROUNDS):
        harness.second = number * INTERVAL
        if number and chance.random() < 0.2:
            harness.api.answers["deployments"] = error(PollTimeout)
            assert not run(harness.poll("list"))
            continue
        # Also in the first answer: the first sight of a deployment is not that of its replicas.
        is_null = {d.name: chance.random() < 0.15 or (number == 0 and d.name == "a") for d in fleet}
        harness.api.answers["deployments"] = listed(*(d.answer(is_null=is_null[d.name]) for d in fleet))
        assert run(harness.poll("list"))
        yield harness, fleet


def sample(lines: set[str], metric: str, deployment: str, **labels: str) -> float:
    named = ",".join(
        f'{name}="{value}"' for name, value in sorted({**labels, "deployment": deployment, "project": "p"}.items())
    )
    (value,) = (line.rpartition(" ")[2] for line in lines if line.startswith(f"{metric}{{{named}}} "))
    return float(value)


@pytest.mark.parametrize("seed", SEEDS)
def test_counters_are_what_was_served(seed: int) -> None:
    started = ended = changes = 0
    for harness, fleet in rounds(seed):
        lines = run(harness.lines())
        for d in fleet:
            counted = sample(lines, "together_deployment_replicas_started_total", d.name)
            by_class = {
                name: sample(lines, "together_deployment_replicas_ended_total", d.name, **{"class": name})
                for name in CLASSES
            }
            by_status = {
                status: sample(lines, "together_deployment_status_changes_total", d.name, status=status)
                for status in STATUSES
            }
            assert counted == d.started
            assert by_class == {name: d.ended[name] for name in CLASSES}
            assert by_status == {status: d.changes[status] for status in STATUSES}
            assert len(d.served or ()) == d.first + counted - sum(by_class.values())
    for d in fleet:
        started += d.started
        ended += d.ended.total()
        changes += d.changes.total()
    assert min(started, ended, changes) > ROUNDS, "the script has something to count"


def test_null_replicas_are_unknown_and_not_all_ended() -> None:
    harness = Harness(Target("p", stale_after=1e9))
    answers: tuple[dict[str, Any] | None, ...] = ({"r-1": {}, "r-2": {}}, None, {"r-2": {}}, None)
    for number, events in enumerate(answers):
        harness.second = number * INTERVAL
        harness.api.answers["deployments"] = listed(one(replica_events=events))
        run(harness.poll("list"))
        lines = run(harness.lines())
        ended = sum(
            sample(lines, "together_deployment_replicas_ended_total", "chat", **{"class": name}) for name in CLASSES
        )
        assert ended == (0 if number < 2 else 1)
