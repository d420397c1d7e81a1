"""What an API may say that is odd but no failure, and what it may say next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.canaries import API_KEY
from tests.conftest import until
from tests.e2e.conftest import Process, Start
from tests.e2e.faulty_api import GOOD, FaultyApi, good, http, listed
from tests.hostile import hostile

PACE = "poll_interval: 200ms, poll_timeout: 20s, max_requests_per_second: 100"
IDENTITY, BY_ID = 'deployment="x",project="p"', 'deployment="dep_x",project="p"'
READY = f"together_deployment_replicas_ready{{{IDENTITY}}}"


@pytest.fixture
def api() -> Iterator[FaultyApi]:
    with FaultyApi() as server:
        yield server


def project(api: FaultyApi, more: str = "") -> str:
    return f"projects: [{{name: p, base_url: '{api.url('p')}', {PACE}{more}}}]\n"


def item(name: str, id_: str, **more: Any) -> dict[str, Any]:
    return {**GOOD, "name": name, "id": id_, **more}


def series(daemon: Process, metric: str) -> list[str]:
    return [line for line in daemon.metrics().splitlines() if line.startswith(metric + "{")]


def dropped(reason: str) -> str:
    return f'together_project_items_dropped{{project="p",reason="{reason}"}}'


@pytest.mark.parametrize("fetch", ["list", "each"])
def test_two_entries_that_are_one_deployment_are_each_shown_as_configured(
    fetch: str, api: FaultyApi, start: Start
) -> None:
    if fetch == "list":
        api.answers["p"] = listed(item("x", "dep_x"))
    daemon = start(project(api, f", fetch: {fetch}, deployments: [dep_x, x]"), TOGETHER_API_KEY=API_KEY)
    until(lambda: len(series(daemon, "together_deployment_replicas_ready")) == 2, "both are shown")
    assert {f"{READY} 3.0", f"{READY.replace(IDENTITY, BY_ID)} 3.0"} <= set(daemon.metrics().splitlines())


def test_of_two_deployments_of_one_name_one_is_shown_by_it_and_the_other_by_its_id(
    api: FaultyApi, start: Start
) -> None:
    items = [item("x", "dep_1"), item("x", "dep_x", ready_replicas=9), item("y", "dep_3")]
    api.answers["p"] = listed(*items)
    daemon = start(project(api), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows(f"{READY} 3.0"), "the first is shown")
    assert daemon.shows(f"{READY.replace(IDENTITY, BY_ID)} 9.0")
    assert len(series(daemon, "together_deployment_replicas_ready")) == 3
    api.answers["p"] = listed(*items[1:])
    until(lambda: daemon.shows(f"{READY} 9.0"), "the other takes the name")
    assert len(series(daemon, "together_deployment_replicas_ready")) == 2


@pytest.mark.parametrize("order", [1, -1], ids=["one order", "the other"])
def test_one_deployment_listed_twice_is_shown_once(order: int, api: FaultyApi, start: Start) -> None:
    old = item("x", "dep_1", created_at="2026-01-01T00:00:00Z")
    new = item("x", "dep_1", created_at="2026-02-01T00:00:00Z", ready_replicas=9)
    first, last = [old, new][::order]
    api.answers["p"] = listed(first, b"null", b"17", b"{}", last)
    daemon = start(project(api), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows(f"{READY} 3.0"), "the oldest is shown")
    assert len(series(daemon, "together_deployment_replicas_ready")) == 1
    assert daemon.shows(f"{dropped('duplicate_deployment')} 1.0")
    assert daemon.shows(f"{dropped('invalid_value')} 3.0")
    assert 'msg="deployment listed more than once, exporting the oldest"' in daemon.log
    assert 'msg="invalid values omitted"' in daemon.log


def test_a_deployment_made_again_under_its_name_starts_afresh(api: FaultyApi, start: Start) -> None:
    api.answers["p"] = listed(item("x", "dep_1", status="Failed"))
    daemon = start(project(api), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows(f"{READY} 3.0"), "the old one is shown")
    api.answers["p"] = listed(item("x", "dep_2", status="Ready", replica_events={}))
    until(lambda: 'id="dep_2"' in daemon.metrics(), "the new one is shown")
    page = daemon.metrics()
    assert "dep_1" not in page
    assert "x-0" not in page
    assert '{deployment="x",project="p",status="Ready"} 0.0' in page


def test_a_list_that_shrinks_to_nothing_leaves_nothing(api: FaultyApi, start: Start) -> None:
    api.answers["p"] = listed(*(item(f"x{n}", f"dep_{n}") for n in range(3)))
    daemon = start(project(api), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows('together_project_deployments{project="p"} 3.0'), "all are shown")
    api.answers["p"] = listed()
    until(lambda: daemon.shows('together_project_deployments{project="p"} 0.0'), "none is left")
    assert 'deployment="' not in daemon.metrics()
    assert daemon.shows('together_project_poll_success{project="p"} 1.0')


def test_20_000_replicas_are_counted_and_200_of_them_shown(api: FaultyApi, start: Start) -> None:
    api.answers["p"] = good(replica_events={f"x-{n}": {"replica_status": "Waiting"} for n in range(20_000)})
    slow = ", deployments: [x], poll_interval: 60s"
    config = project(api).replace("poll_interval: 200ms, ", "").replace("}]", slow + "}]")
    daemon = start(config, TOGETHER_API_KEY=API_KEY)
    counted = 'together_deployment_replicas{deployment="x",project="p",status="Waiting"} 20000.0'
    until(lambda: daemon.shows(counted), "they are counted")
    assert len(series(daemon, "together_replica_ready")) == 200
    assert daemon.shows(f"{dropped('replica_limit')} 19800.0")
    assert 'msg="replicas above max_replicas_per_deployment omitted"' in daemon.log


def test_every_odd_value_at_once_costs_no_deployment(api: FaultyApi, start: Start) -> None:
    cases = [case for cases in hostile().values() for case in cases]
    api.answers["p"] = listed(*(case.body for case in cases))
    daemon = start(project(api).replace("200ms", "2s"), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows(f'together_project_deployments{{project="p"}} {len(cases)}.0'), "all are shown")
    up = series(daemon, "together_deployment_poll_success")
    assert len(up) == len(cases)
    assert all(line.endswith(" 1.0") for line in up)
    assert "invalid values omitted" in daemon.log
    assert "internal_error" not in daemon.log


def test_a_status_without_end_of_new_words_has_an_end(api: FaultyApi, start: Start) -> None:
    daemon = start(project(api, ", deployments: [x]").replace("200ms", "100ms"), TOGETHER_API_KEY=API_KEY)
    for n in range(5):
        api.answers["p"] = good(status=f"Novel{n}")
        current = f'together_deployment_status{{deployment="x",project="p",status="Novel{n}"}} 1.0'
        until(lambda current=current: daemon.shows(current), "the new status is shown")  # type: ignore[misc]
    assert len(series(daemon, "together_deployment_status")) == 6


def test_a_key_file_is_followed_and_its_absence_named(api: FaultyApi, start: Start, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first\n")
    key.chmod(0o600)
    daemon = start(project(api, f", deployments: [x], api_key_file: {key}"))
    until(lambda: daemon.shows(f"{READY} 3.0"), "it is polled")
    assert "is world-readable" not in daemon.log
    replacement = tmp_path / "new"
    replacement.write_text("second")
    replacement.rename(key)
    until(lambda: "Bearer second" in "".join(api.requests["p"][-1:]), "the new key is used")
    error = f'together_deployment_poll_error{{{IDENTITY[:-1]}",reason="unauthorized"}} 1.0'
    for break_it, says in ((lambda: key.write_text(" \n"), "is empty"), (key.unlink, "No such file or directory")):
        break_it()
        until(lambda: daemon.shows(error), "the poll fails")
        assert daemon.shows(f"{READY} 3.0")
        until(lambda says=says: says in daemon.log, "the log names the cause")  # type: ignore[misc]
        asked = len(api.requests["p"])
        failures = series(daemon, "together_exporter_poll_failures_total")
        until(lambda f=failures: series(daemon, "together_exporter_poll_failures_total") != f, "it goes on")  # type: ignore[misc]
        assert len(api.requests["p"]) == asked, "without a key nothing is asked"
        key.write_text("third")
        until(lambda: daemon.shows(f"together_deployment_poll_success{{{IDENTITY}}} 1.0"), "it is up again")


def test_a_key_file_that_everyone_can_read_is_warned_about(api: FaultyApi, start: Start, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first")
    key.chmod(0o644)
    daemon = start(project(api, f", api_key_file: {key}"))
    assert daemon.url()
    assert f'msg="key file is world-readable" project=p file={key} hint="chmod o-r {key}"' in daemon.log


def test_an_error_in_a_200_does_not_pass_for_a_deployment(api: FaultyApi, start: Start) -> None:
    daemon = start(project(api, ", deployments: [x]"), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows(f"{READY} 3.0"), "it is polled")
    api.answers["p"] = http(b'{"error": {"message": "try later"}}')
    until(lambda: daemon.shows(f"together_deployment_poll_success{{{IDENTITY}}} 0.0"), "it is down")
    assert daemon.shows(f"{READY} 3.0")
