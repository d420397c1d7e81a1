"""Reloads at every moment of a large list: it is shown whole or not at all, and never lost."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import fetch
from tests.conftest import until
from tests.e2e.conftest import Process, Start
from tests.e2e.observed import INFO, config, count_of, page, polled, project, soon, started
from tests.e2e.scripted_api import Answer, ScriptedApi, item, listed

SIZE = 6000
LIST = "p/deployments"
CLOCK = "clock/deployments"
COUNT = "together_project_deployments"
READY = "together_deployment_replicas_ready"
PACE = {"poll_interval": "10m", "poll_timeout": "60s"}  # no second poll repairs what the first one lost


def fleet(ready: int = 1, size: int = SIZE) -> Answer:
    events = {"r-0": {"replica_status": "Running", "replica_ready_since": "2026-10-01T10:00:00Z"}}
    items = ({**item(f"dep_{n:04}", f"d{n:04}", replica_events=events), "ready_replicas": ready} for n in range(size))
    return listed(*items)


@dataclass
class Setup:
    """A daemon that reads a large list, and a small project by whose polls time is counted."""

    daemon: Process
    api: ScriptedApi
    file: Path
    gate: threading.Event
    sizes: list[int] = field(default_factory=list)  # of each page that was looked at

    def projects(self, **settings: Any) -> list[dict[str, Any]]:
        return [project(self.api, **{**PACE, **settings}), project(self.api, "clock")]

    def write(self, *projects: dict[str, Any], **general: Any) -> None:
        self.file.write_text(config(*projects, **general))

    def hang_up(self) -> None:
        """SIGHUP, and its end."""
        before = self.daemon.log.count("configuration reloaded")
        self.daemon.popen.send_signal(signal.SIGHUP)
        until(lambda: self.daemon.log.count("configuration reloaded") > before, "it is reloaded")

    def reload(self) -> None:
        assert fetch.post(f"{self.daemon.url()}/-/reload", timeout=60).status_code == 200

    def look(self) -> int:
        """How many of p are shown."""
        text = page(self.daemon, INFO).text
        self.sizes.append(len(re.findall(rf'^{INFO}\{{[^}}]*project="p"', text, re.MULTILINE)))
        return self.sizes[-1]


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        server.script[CLOCK] = listed(item("dep_c", "tick"))
        yield server


@pytest.fixture
def setup(api: ScriptedApi, start: Start, tmp_path: Path) -> Setup:
    gate = threading.Event()
    api.script[LIST] = Answer(fleet().body, gate=gate)
    daemon = started(start, project(api, **PACE), project(api, "clock"))
    return Setup(daemon, api, tmp_path / "together-exporter.yml", gate)


def complete(setup: Setup, size: int = SIZE) -> None:
    """With the list that was asked for, or one more that the reload asked for."""
    soon(lambda: setup.look() == size, "the list is shown", setup.api, CLOCK, 50)
    assert set(setup.sizes) <= {0, size}, "whole or not at all"
    soon(lambda: setup.daemon.get("/-/ready").status_code == 200, "it is ready", setup.api, CLOCK, 20)
    assert page(setup.daemon, COUNT).value(COUNT) == size
    assert setup.api.count(LIST) <= 2


def before_it_is_asked_for(setup: Setup) -> None:
    setup.daemon.url()
    setup.hang_up()
    setup.gate.set()


def in_the_middle_of_its_body(setup: Setup) -> None:
    until(lambda: setup.api.count(LIST) > 0, "the list is asked for")
    setup.hang_up()
    setup.gate.set()


def at_every_step_of_its_application(setup: Setup) -> None:
    """A signal as soon as the one before has had its effect, until the list is shown."""
    until(lambda: setup.api.count(LIST) > 0, "the list is asked for")
    setup.gate.set()
    begun = setup.api.count(CLOCK)
    while setup.look() != SIZE and setup.api.count(CLOCK) < begun + 20:
        setup.hang_up()


def once_it_is_shown(setup: Setup) -> None:
    setup.gate.set()
    until(lambda: setup.look() == SIZE, "the list is shown")
    setup.hang_up()


MOMENTS = [
    pytest.param(before_it_is_asked_for, id="before-it-is-asked-for"),
    pytest.param(in_the_middle_of_its_body, id="in-the-middle-of-its-body"),
    pytest.param(at_every_step_of_its_application, id="at-every-step-of-its-application"),
    pytest.param(once_it_is_shown, id="once-it-is-shown"),
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_sighup_loses_nothing_of_a_list_of_6000(moment: Callable[[Setup], None], setup: Setup) -> None:
    moment(setup)
    complete(setup)


CHANGES: dict[str, tuple[dict[str, Any], int]] = {  # settings of the project, and how many are shown then
    "exclude": ({"exclude": ["d0.*"]}, SIZE - 1000),
    "include": ({"include": ["d0.*"]}, 1000),
    "interval": ({"poll_interval": "11m"}, SIZE),
    "timeout": ({"poll_timeout": "50s"}, SIZE),
    "stale": ({"stale_after": "2h"}, SIZE),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_list_under_way_is_shown_as_the_new_configuration_wants_it(change: str, setup: Setup) -> None:
    settings, size = CHANGES[change]
    until(lambda: setup.api.count(LIST) > 0, "the list is asked for")
    setup.write(*setup.projects(**settings))
    setup.reload()
    setup.gate.set()
    complete(setup, size)


@pytest.mark.parametrize("change", ["exclude", "interval"])
def test_a_reload_while_a_list_is_applied_shows_it_as_the_new_configuration_wants_it(change: str, setup: Setup) -> None:
    settings, size = CHANGES[change]
    until(lambda: setup.api.count(LIST) > 0, "the list is asked for")
    setup.gate.set()
    setup.write(*setup.projects(**settings))
    setup.reload()
    setup.sizes.clear()
    complete(setup, size)


def test_reloads_that_add_and_remove_another_project_lose_nothing_of_a_list(setup: Setup) -> None:
    setup.api.script["other/deployments"] = listed(item("dep_o", "other"))
    until(lambda: setup.api.count(LIST) > 0, "the list is asked for")
    setup.gate.set()
    begun = setup.api.count(CLOCK)
    while setup.look() != SIZE and setup.api.count(CLOCK) < begun + 20:
        setup.write(*setup.projects(), project(setup.api, "other"))
        setup.reload()
        setup.write(*setup.projects())
        setup.reload()
    complete(setup)


def test_a_project_that_is_removed_while_its_list_is_applied_leaves_nothing(setup: Setup) -> None:
    until(lambda: setup.api.count(LIST) > 0, "the list is asked for")
    setup.gate.set()
    setup.write(project(setup.api, "clock"))
    setup.reload()
    assert 'project="p"' not in page(setup.daemon).text
    polled(setup.api, CLOCK, 5)
    assert 'project="p"' not in page(setup.daemon).text


def values(daemon: Process) -> set[str]:
    text = daemon.get("/metrics").text
    return set(re.findall(rf'^{READY}\{{[^}}]*project="p"[^}}]*\}} (\S+)$', text, re.MULTILINE))


def test_no_page_mixes_two_lists_while_the_configuration_is_reloaded(setup: Setup) -> None:
    """Each list gives all deployments the same number of ready replicas, the next list another one."""
    answers = [fleet(ready, 2000) for ready in range(1, 4)]
    setup.api.script[LIST] = lambda number: answers[number % 3]
    setup.write(*setup.projects(poll_interval="100ms"))
    setup.reload()
    until(lambda: count_of(setup.daemon, READY) == 2001, "the list is shown")
    looks: list[set[str]] = []
    begun = setup.api.count(CLOCK)
    while setup.api.count(CLOCK) < begun + 40:
        stale = project(setup.api, "clock", stale_after=f"{10 + len(looks)}m")
        setup.write(setup.projects(poll_interval="100ms")[0], stale)
        setup.reload()
        looks.append(values(setup.daemon))
    assert [look for look in looks if len(look) != 1] == []


def test_other_projects_that_expire_while_lists_are_applied_mix_nothing(api: ScriptedApi, start: Start) -> None:
    answers = [fleet(ready, 2000) for ready in range(1, 4)]
    api.script[LIST] = lambda number: answers[number % 3]
    names = [f"brief{n}" for n in range(25)]
    api.script |= {f"{name}/deployments": listed(item("dep_b", "b")) for name in names}
    brief = [project(api, name, poll_interval="1s", stale_after=f"{1000 + 100 * n}ms") for n, name in enumerate(names)]
    daemon = started(start, project(api), *brief, project(api, "clock"))
    until(lambda: count_of(daemon, READY) == 2026, "all are shown")
    api.script |= {f"{name}/deployments": Answer(b"", "400 Bad Request") for name in names}
    looks = []

    def has_expired() -> bool:
        looks.append(values(daemon))
        return count_of(daemon, READY) == 2001

    soon(has_expired, "the other projects' states are stale", api, CLOCK, 60)
    assert [look for look in looks if len(look) != 1] == []
