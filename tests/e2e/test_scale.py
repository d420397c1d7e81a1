"""Many deployments, many projects, many exporters."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from tests.canaries import API_KEY
from tests.conftest import until
from tests.e2e.conftest import Process, Start
from tests.e2e.faulty_api import GOOD, FaultyApi, http, listed

PACE = "poll_interval: 200ms, poll_timeout: 10m, max_requests_per_second: 100"


@pytest.fixture
def api() -> Iterator[FaultyApi]:
    with FaultyApi() as server:
        yield server


def shown(daemon: Process) -> set[str]:
    return set(re.findall(r'^together_deployment_poll_success\{deployment="([^"]+)"', daemon.metrics(), re.MULTILINE))


def polls(daemon: Process) -> dict[str, float]:
    """How many have ended, by project."""
    found = re.findall(
        r'^together_exporter_polls_total\{fetch="[a-z]+",project="([^"]+)"\} (\S+)$', daemon.metrics(), re.MULTILINE
    )
    return {project: float(count) for project, count in found}


@pytest.mark.parametrize("named", [False, True])
def test_the_shards_together_show_every_deployment_once(api: FaultyApi, start: Start, *, named: bool) -> None:
    names = {f"deployment-{number}" for number in range(60)}
    api.answers["p"] = listed(*({**GOOD, "name": name, "id": f"dep_{name}"} for name in sorted(names)))
    which = f", fetch: list, deployments: [{','.join(sorted(names))}]" if named else ""
    config = f"projects: [{{name: p, base_url: '{api.url('p')}', {PACE}{which}}}]\n"
    shards = []
    for index in range(3):  # the index comes in the ways that a pod can give it
        options = ["--shard.total=3", f"--shard.index={index}"] if index else ["--shard.total=3"]
        environment = {} if index else {"TOGETHER_EXPORTER_SHARD__INDEX": "0"}
        shards.append(start(config, *options, TOGETHER_API_KEY=API_KEY, **environment))
    for shard in shards:
        until(lambda shard=shard: shown(shard) != set(), "it shows its part")  # type: ignore[misc]  # one each
    parts = [shown(shard) for shard in shards]
    assert set().union(*parts) == names
    assert sum(map(len, parts)) == len(names)
    assert all(len(part) > 5 for part in parts)
    assert shards[2].shows('together_exporter_shard_info{index="2",total="3"} 1.0')


def test_of_50_projects_one_that_hangs_and_one_that_fails_delay_no_other(api: FaultyApi, start: Start) -> None:
    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    api.answers["p0"] = hang
    api.answers["p1"] = http(b"{}", "503 Service Unavailable")
    projects, keys = [], {}
    for number in range(50):
        name = f"p{number}"
        keys[f"KEY_{number}"] = f"{API_KEY}-{number}"
        api.answers.setdefault(name, listed({**GOOD, "name": name, "ready_replicas": number}))
        pace = f"poll_interval: {200 + number}ms, poll_timeout: 10m, max_requests_per_second: 100"
        projects.append(f"{{name: {name}, base_url: '{api.url(name)}', api_key_env: KEY_{number}, {pace}}}")
    daemon = start("projects:\n- " + "\n- ".join(projects) + "\n", **keys)
    others = {f"p{number}" for number in range(2, 50)}
    until(lambda: all(polls(daemon).get(name, 0) >= 3 for name in others), "all others are polled thrice")
    assert polls(daemon)["p0"] == 0
    until(lambda: daemon.shows('together_project_poll_success{project="p1"} 0.0'), "the failure is exported")
    for number in (2, 49):
        assert daemon.shows(
            f'together_deployment_replicas_ready{{deployment="p{number}",project="p{number}"}} {number}.0'
        )
        assert f"authorization: bearer {keys[f'KEY_{number}']}".lower() in api.requests[f"p{number}"][0].lower()
    assert daemon.get("/-/ready").status_code == 503


def test_a_large_fleet_is_shown_as_it_changes(api: FaultyApi, start: Start) -> None:
    def fleet(ready: int) -> bytes:
        return listed(*({"id": f"dep_{n}", "name": f"d{n}", "ready_replicas": ready} for n in range(1500)))

    api.answers["p"] = fleet(1)
    daemon = start(f"projects: [{{name: p, base_url: '{api.url('p')}', {PACE}}}]\n", TOGETHER_API_KEY=API_KEY)
    for ready in (1, 2, 3):
        api.answers["p"] = fleet(ready)
        line = f'together_deployment_replicas_ready{{deployment="d1499",project="p"}} {ready}.0'
        until(lambda line=line: daemon.shows(line), "it is shown")  # type: ignore[misc]  # one each
        text = daemon.metrics()
        values = re.findall(r"^together_deployment_replicas_ready\{.*\} (\S+)$", text, re.MULTILINE)
        assert len(values) == 1500
        assert len(set(values)) == 1, "half of a list is shown"
