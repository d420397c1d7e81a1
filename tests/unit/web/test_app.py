"""The paths that answer, with the real page endpoints replaced by one of a word."""

from __future__ import annotations

import httpx
import pytest
from starlette.responses import PlainTextResponse

from exporter.web.app import Reload, build
from tests.pipeline import run
from tests.unit.web.asgi import serving

METRICS = PlainTextResponse("metrics")


async def answers(
    *requests: tuple[str, str], is_ready: bool = True, reload: Reload | None = None
) -> list[httpx.Response]:
    async with serving(build({"/metrics": METRICS}, lambda: is_ready, reload)) as client:
        return [await client.request(method, path) for method, path in requests]


def statuses(*requests: tuple[str, str], is_ready: bool = True) -> list[int]:
    return [answer.status_code for answer in run(answers(*requests, is_ready=is_ready))]


def test_what_answers_and_what_does_not() -> None:
    requests = {
        ("GET", "/metrics"): 200,
        ("GET", "/-/healthy"): 200,
        ("HEAD", "/-/healthy"): 200,
        ("GET", "/-/ready"): 200,
        ("POST", "/-/healthy"): 405,
        ("POST", "/-/ready"): 405,
        ("GET", "/-/reload"): 405,
        ("POST", "/-/reload"): 403,
        ("GET", "/favicon.ico"): 404,
        ("GET", "/metrics/"): 404,
        ("GET", "/-/"): 404,
        ("GET", "/-/healthy/"): 404,
        ("GET", "/-/ready/"): 404,
    }
    assert dict(zip(requests, statuses(*requests), strict=True)) == requests


@pytest.mark.parametrize(("is_ready", "status"), [(True, 200), (False, 503)])
def test_ready_only_when_it_is(status: int, *, is_ready: bool) -> None:
    assert statuses(("GET", "/-/ready"), ("GET", "/-/healthy"), is_ready=is_ready) == [status, 200]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("problem", "status"), [(None, 200), ("c.yml:3: nope", 500)], ids=["taken", "refused"])
def test_a_reload_says_what_is_wrong(method: str, problem: str | None, status: int) -> None:
    async def reload() -> str | None:
        return problem

    (answer,) = run(answers((method, "/-/reload"), reload=reload))
    assert (answer.status_code, answer.text) == (status, f"{problem}\n" if problem else "Reloaded.\n")


def test_without_the_option_nothing_is_reloaded_and_the_answer_names_it() -> None:
    (answer,) = run(answers(("POST", "/-/reload")))
    assert "--web.enable-lifecycle" in answer.text
