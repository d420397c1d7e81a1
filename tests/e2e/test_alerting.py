"""From a failing replica to a person: simulators, the daemon, Prometheus, Alertmanager, a pager; all of them real."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from exporter.simulator.scenario import load
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Process, Start
from tests.e2e.monitoring import Alertmanager, Message, Pager, Prometheus

pytestmark = [pytest.mark.needs("prometheus"), pytest.mark.needs("prometheus-alertmanager")]

FASTER = 200  # what takes 10 minutes takes 3 seconds
SCENARIOS = ("steady", "crashloop", "outage", "rollout", "scale-to-zero")


SLOWLY_STALE = 15.0  # s; so that failing polls are reported before

CHAT, EMBED = "rollout/chat-prod", "crashloop/batch-embed"
NOTIFIED = {
    ("pager", "crashloop", "TogetherDeploymentFailed", f"{EMBED}: in status Failed for 2 minutes."),
    ("channel", "rollout", "TogetherDeploymentRolloutStuck", f"{CHAT}: in status Updating or Scaling for 30 minutes."),
    (
        "channel",
        "rollout",
        "TogetherDeploymentRevisionsMixed",
        f"{CHAT}: 3 replicas not on the current revision for 30 minutes.",
    ),
    (
        "channel",
        "rollout",
        "TogetherReplicaNotReady",
        f"{CHAT}: 1 replica running but not ready for 15 minutes.",
    ),
    ("channel", "outage", "TogetherPollsFailing", "outage: polls of 2 deployments failing for 10 minutes."),
    ("pager", "outage", "TogetherDataStale", "outage: last successful poll of a deployment was SOME ago."),
}
BY_CLASS = {
    ("channel", "crashloop", "TogetherReplicaCrashLooping", f"{EMBED}: 1 replica crash looping for 10 minutes."),
    (
        "channel",
        "scale-to-zero",
        "TogetherDeploymentGPUsIdle",
        "scale-to-zero/batch-embed: 2 GPUs allocated and no jobs in the queue for 1 hour.",
    ),
}
# Fire if the crash loop lasts, or if its end reaches Alertmanager in parts, which depends on the machine.
BY_DURATION = {
    ("pager", "crashloop", "TogetherDeploymentAvailabilityBurnFast"),
    ("pager", "crashloop", "TogetherDeploymentNoReadyReplica"),
}


def text(message: Message) -> str:
    return re.sub(r"was \S+( \S+)* ago", "was SOME ago", message.annotations["description"])


class Stack:
    """Each scenario is a project of that name, whose time the test sets."""

    def __init__(self, simulators: dict[str, SimulatorServer], daemon: Process, pager: Pager, prometheus: Prometheus):
        self.simulators, self.daemon, self.pager, self.prometheus = simulators, daemon, pager, prometheus

    def at(self, **moments: float) -> None:
        for scenario, moment in moments.items():
            self.simulators[scenario.replace("_", "-")].now = moment

    def wait_until_firing(self, *alerts: tuple[str, str]) -> None:
        for alert in alerts:
            until(lambda alert=alert: alert in self.pager.firing(), f"{alert} fires; notified: {self.pager.messages}")  # type: ignore[misc]  # one each

    def resolves(self, *alerts: tuple[str, str]) -> None:
        for alert in alerts:
            until(lambda alert=alert: alert not in self.pager.firing(), f"{alert} resolves")  # type: ignore[misc]  # one each


@pytest.fixture
def stack(start: Start, tmp_path: Path) -> Iterator[Stack]:
    with ExitStack() as entered:
        simulators = {name: entered.enter_context(SimulatorServer(load(name))) for name in SCENARIOS}
        projects = [
            f"{{name: {name}, base_url: '{simulator.url}', queue: true, max_requests_per_second: 100}}"
            for name, simulator in simulators.items()
        ]
        daemon = start("poll_interval: 250ms\nprojects:\n- " + "\n- ".join(projects) + "\n", TOGETHER_API_KEY="k")
        pager = entered.enter_context(Pager())
        alertmanager = entered.enter_context(Alertmanager(tmp_path, pager.url))
        config = RulesConfig.model_validate({"thresholds": {"data_stale_seconds": SLOWLY_STALE * FASTER}})
        rules = build(config, faster=FASTER)
        target = daemon.url().removeprefix("http://")
        prometheus = Prometheus(target, tmp_path, rules=rules, alertmanager=alertmanager.address)
        yield Stack(simulators, daemon, pager, entered.enter_context(prometheus))


def test_what_is_wrong_is_told_and_resolves_and_what_is_well_is_not(stack: Stack) -> None:
    until(lambda: len(stack.prometheus.query("together_deployment_poll_success == 1")) == 9, "all is seen")
    failing, stale = ("outage", "TogetherPollsFailing"), ("outage", "TogetherDataStale")
    stuck, mixed = ("rollout", "TogetherDeploymentRolloutStuck"), ("rollout", "TogetherDeploymentRevisionsMixed")
    stack.at(outage=30, rollout=31)
    stack.wait_until_firing(failing, stuck, mixed, stale)
    failed = ("crashloop", "TogetherDeploymentFailed")
    stack.at(crashloop=40, outage=100, rollout=100)
    stack.wait_until_firing(failed)
    stack.resolves(failing, stale, stuck, mixed)
    stack.at(crashloop=170)
    stack.resolves(failed)
    others = BY_DURATION | {message[:3] for message in BY_CLASS}
    assert {message for message in messages(stack) if message[:3] not in others} == NOTIFIED


def test_what_is_counted_by_class_and_queue_is_told(stack: Stack) -> None:
    crashing, idle = ("crashloop", "TogetherReplicaCrashLooping"), ("scale-to-zero", "TogetherDeploymentGPUsIdle")
    until(lambda: len(stack.prometheus.query("together_deployment_poll_success == 1")) == 9, "all is seen")
    assert stack.prometheus.query("together_deployment_replicas_ready")
    stack.at(crashloop=10)
    assert "together_deployment_queue_info" in stack.daemon.metrics()
    stack.at(crashloop=10, scale_to_zero=115)
    stack.wait_until_firing(crashing, idle)
    stack.at(crashloop=170, scale_to_zero=140)
    stack.resolves(crashing, idle)
    assert messages(stack) >= BY_CLASS


def messages(stack: Stack) -> set[tuple[str, ...]]:
    """The first about each alert; the whole timeline is printed."""
    first = {message.alert: message for message in reversed(stack.pager.messages)}
    for message in first.values():
        assert message.annotations["runbook_url"].endswith(f"/{message.alert[1]}.md")
    for message in stack.pager.messages:
        sys.stdout.write(f"{message.after:5.1f} s {message.receiver:8}{message.status:9}{'/'.join(message.alert)}\n")
    return {(message.receiver, *message.alert, text(message)) for message in first.values()}


def test_an_exporter_that_is_gone_is_told_about_and_does_not_read_as_health(stack: Stack) -> None:
    until(lambda: len(stack.prometheus.query("together_deployment_poll_success == 1")) == 9, "all is seen")
    failed, down = ("crashloop", "TogetherDeploymentFailed"), ("", "TogetherExporterDown")
    stack.at(crashloop=40)
    stack.wait_until_firing(failed)
    stack.daemon.stop()
    stack.wait_until_firing(down)
    assert failed in stack.pager.firing()
    others = {("crashloop", "TogetherReplicaCrashLooping"), ("", "TogetherExporterInstanceDown")}
    assert {message.alert for message in stack.pager.messages} <= {failed, down, *others}
