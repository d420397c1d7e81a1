"""Queues and revisions against the real daemon: read where the configuration says so, and no trouble where refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import fetch
from tests.e2e.conftest import Process, Start
from tests.e2e.observed import FAILURES, SUCCESS, config, news, page, polled, project, soon, started
from tests.e2e.scripted_api import NOT_FOUND, Answer, ScriptedApi, item, listed, refusal

LIST, REVISIONS = "p/deployments", "p/deployments/dep_a/revisions?limit=1"
JOBS, MORE = "p/queue/metrics?model=jobs", "p/queue/metrics?model=more"
QUEUE_JOBS, NUMBER = "together_queue_jobs", "together_deployment_revision_number"
NONSENSE = Answer(b"<html>sign in</html>")


def scaled(revision: str) -> dict[str, Any]:
    return item(
        "dep_a",
        "a",
        environment_variables=[{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": revision}],
        autoscaling={"metric": "QueueBacklogPerWorker", "target": 5, "model": "jobs"},
    )


def revision(id_: str, number: int) -> Answer:
    body = f'{{"data": [{{"revision_id": "{id_}", "revision_number": {number}, "action": "update"}}]}}'
    return Answer(body.encode())


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        server.script |= {
            LIST: listed(scaled("r1")),
            REVISIONS: revision("r1", 1),
            JOBS: Answer(b'{"messages_waiting": 7, "messages_running": 2}'),
            MORE: Answer(b'{"messages_waiting": 1}'),
        }
        yield server


def waiting(daemon: Process, queue: str) -> float | None:
    return page(daemon).value(QUEUE_JOBS, queue=queue, state="waiting")


def reloaded(daemon: Process, file: Path, *projects: dict[str, Any]) -> None:
    file.write_text(config(*projects))
    assert fetch.post(f"{daemon.url()}/-/reload", timeout=60).status_code == 200


def test_a_revision_is_read_once_and_again_when_it_changes(api: ScriptedApi, start: Start) -> None:
    daemon = started(start, project(api, revisions=True))
    soon(lambda: page(daemon).value(NUMBER, "a") == 1, "the revision is shown", api)
    polled(api, polls=5)
    assert api.count(REVISIONS) == 1
    api.script |= {LIST: listed(scaled("r2")), REVISIONS: revision("r2", 2)}
    soon(lambda: page(daemon).value(NUMBER, "a") == 2, "the new one is shown", api)
    assert api.count(REVISIONS) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refusal("403 Forbidden"), "forbidden"),
        (NOT_FOUND, "not_found"),
        (refusal("410 Gone"), "not_found"),
        (NONSENSE, "invalid_response"),
    ],
    ids=["403", "404", "410", "nonsense"],
)
def test_opt_in_endpoints_that_refuse_are_asked_once_logged_once_and_harm_nothing(
    answer: Answer, reason: str, api: ScriptedApi, start: Start
) -> None:
    api.script |= {REVISIONS: answer, JOBS: answer}
    daemon = started(start, project(api, revisions=True, queue=True, queues=["more"]))
    soon(lambda: page(daemon).total(FAILURES, fetch="revisions", reason=reason) == 1, "revisions are refused", api)
    polled(api, MORE, polls=10)
    shown = page(daemon)
    assert (api.count(REVISIONS), api.count(JOBS)) == (1, 1)
    assert (shown.value(SUCCESS, "a"), waiting(daemon, "more"), waiting(daemon, "jobs")) == (1, 1, None)
    failed = [line for line in news(daemon) if "poll failed" in line]
    assert len(failed) == 2, failed
    assert all("next_in=3600s" in line for line in failed)


def test_a_reload_without_queues_and_revisions_drops_them_at_once(
    api: ScriptedApi, start: Start, tmp_path: Path
) -> None:
    file = tmp_path / "together-exporter.yml"
    daemon = started(start, project(api, queue=True, queues=["more"], revisions=True))
    soon(lambda: waiting(daemon, "jobs") == 7 and waiting(daemon, "more") == 1, "both queues are read", api)
    soon(lambda: page(daemon).value(NUMBER, "a") == 1, "the revision is shown", api)
    reloaded(daemon, file, project(api, queues=["more"]))
    assert (waiting(daemon, "jobs"), waiting(daemon, "more")) == (None, 1)
    assert page(daemon).value(NUMBER, "a") is None
    assert [q["queue"] for q in daemon.get("/api/v1/status").json()["queues"]] == ["more"]
    before = api.count(JOBS), api.count(REVISIONS)
    polled(api, MORE, polls=5)
    assert (api.count(JOBS), api.count(REVISIONS)) == before
    reloaded(daemon, file, project(api))
    assert waiting(daemon, "more") is None
    assert page(daemon).value(SUCCESS, "a") == 1
