"""From a failing replica to a person: simulators, the daemon, Prometheus, Alertmanager, a pager; all of them real."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.prometheus.rules import groups
from deploy.prometheus.thresholds import Thresholds
from exporter.simulator.scenario import load
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Process, Start
from tests.e2e.monitoring import Alertmanager, Message, Pager, Prometheus

pytestmark = [pytest.mark.needs("prometheus"), pytest.mark.needs("prometheus-alertmanager")]

FASTER = 200  # what takes 10 minutes takes 3 seconds
SCENARIOS = ("steady", "crashloop", "outage", "rollout", "scale-to-zero")


SLOWLY_STALE = 15.0  # s; so that failing polls are told of before

CHAT, EMBED = "rollout/chat-prod", "crashloop/batch-embed"
TOLD = {
    ("channel", "crashloop", "TogetherReplicaCrashLooping", f"1 of the replicas of {EMBED} crash again and again."),
    ("pager", "crashloop", "TogetherDeploymentFailed", f"{EMBED} has the status Failed."),
    ("channel", "rollout", "TogetherDeploymentRolloutStuck", f"{CHAT} is still Updating or Scaling."),
    (
        "channel",
        "rollout",
        "TogetherDeploymentRevisionsMixed",
        f"3 of the replicas of {CHAT} are not of its current revision.",
    ),
    (
        "channel",
        "outage",
        "TogetherPollsFailing",
        "The exporter does not get the state of deployments of outage; it shows the last known one.",
    ),
    ("pager", "outage", "TogetherDataStale", "The oldest state of a deployment of outage is of SOME ago."),
    (
        "channel",
        "scale-to-zero",
        "TogetherDeploymentGPUsIdle",
        "scale-to-zero/batch-embed holds 2 GPUs, and its queue is empty.",
    ),
}


def text(message: Message) -> str:
    return re.sub(r"is of .* ago", "is of SOME ago", message.annotations["description"])


class Stack:
    """Each scenario is a project of that name; its story stands where the test puts it."""

    def __init__(self, simulators: dict[str, SimulatorServer], daemon: Process, pager: Pager, prometheus: Prometheus):
        self.simulators, self.daemon, self.pager, self.prometheus = simulators, daemon, pager, prometheus

    def at(self, **moments: float) -> None:
        for scenario, moment in moments.items():
            self.simulators[scenario.replace("_", "-")].now = moment

    def tells(self, *alerts: tuple[str, str]) -> None:
        for alert in alerts:
            until(lambda alert=alert: alert in self.pager.firing(), f"{alert} fires; told: {self.pager.messages}")  # type: ignore[misc]  # one each

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
        rules = groups(replace(Thresholds().faster(FASTER), stale_after=SLOWLY_STALE))
        target = daemon.url().removeprefix("http://")
        prometheus = Prometheus(target, tmp_path, rules=rules, alertmanager=alertmanager.address)
        yield Stack(simulators, daemon, pager, entered.enter_context(prometheus))


def test_what_is_wrong_is_told_and_resolves_and_what_is_well_is_not(stack: Stack) -> None:
    until(lambda: len(stack.prometheus.query("together_deployment_poll_success == 1")) == 9, "all is seen")
    crashing = ("crashloop", "TogetherReplicaCrashLooping")
    failing, stale = ("outage", "TogetherPollsFailing"), ("outage", "TogetherDataStale")
    stuck, mixed = ("rollout", "TogetherDeploymentRolloutStuck"), ("rollout", "TogetherDeploymentRevisionsMixed")
    stack.at(crashloop=10, outage=30, rollout=31, scale_to_zero=30)
    stack.tells(crashing, failing, stuck, mixed, stale)
    failed, idle = ("crashloop", "TogetherDeploymentFailed"), ("scale-to-zero", "TogetherDeploymentGPUsIdle")
    stack.at(crashloop=40, outage=100, rollout=100, scale_to_zero=115)
    stack.tells(failed, idle)
    stack.resolves(failing, stale, stuck, mixed)
    stack.at(crashloop=170, scale_to_zero=140)
    stack.resolves(failed, crashing, idle)
    until(lambda: stack.pager.firing() == set(), "all is well again")
    first = {message.alert: message for message in reversed(stack.pager.messages)}
    assert {(message.receiver, *message.alert, text(message)) for message in first.values()} == TOLD
    for message in first.values():
        assert message.annotations["runbook_url"].endswith(f"/{message.alert[1]}.md")
    for message in stack.pager.messages:
        sys.stdout.write(f"{message.after:5.1f} s {message.receiver:8}{message.status:9}{'/'.join(message.alert)}\n")


def test_an_exporter_that_is_gone_is_told_about_and_does_not_read_as_health(stack: Stack) -> None:
    until(lambda: len(stack.prometheus.query("together_deployment_poll_success == 1")) == 9, "all is seen")
    failed, down = ("crashloop", "TogetherDeploymentFailed"), ("", "TogetherExporterDown")
    stack.at(crashloop=40)
    stack.tells(failed)
    stack.daemon.stop()
    stack.tells(down)
    assert failed in stack.pager.firing()
    others = {("crashloop", "TogetherReplicaCrashLooping"), ("", "TogetherExporterInstanceDown")}
    assert {message.alert for message in stack.pager.messages} <= {failed, down, *others}
