"""Each row of the table: what it asks for, of whom, and what it makes of the answer."""

from __future__ import annotations

from typing import get_args

import pytest

from exporter.api.errors import ERRORS, ApiError, InvalidResponse, NotFound
from exporter.api.listing import Listing
from exporter.api.rate_limit import PROJECT, Request
from exporter.labels import Labels
from exporter.polling.fetches import FETCHES, Name, Reader
from exporter.state.records import Limits, Project, Target
from tests.pipeline import at, run
from tests.unit.polling.harness import QUEUE_BODY, body, error, listed, one

BACKLOG = {"metric": "QueueBacklogPerWorker", "target": 5, "model": "jobs"}
FOREVER = float("inf")


def after(name: Name, project: Project, subject: str, answer: bytes) -> Project:
    async def value() -> Project:
        read = await FETCHES[name].reader(project.target)(answer, project.target, FOREVER)
        return await FETCHES[name].after(project, subject, read, at(0))

    return run(value())


def lists(reader: Reader, target: Target, *bodies: bytes) -> list[Listing]:
    """What one reader makes of one list after another."""

    async def read() -> list[Listing]:
        return [await reader(each, target, FOREVER) for each in bodies]

    return run(read())


def test_every_value_of_the_label_is_a_row() -> None:
    assert tuple(FETCHES) == get_args(Name)


@pytest.mark.parametrize(
    ("name", "subject", "request_"),
    [
        ("each", "chat", Request("deployments/chat")),
        ("each", "../a b?c#d%", Request("deployments/..%2Fa%20b%3Fc%23d%25")),
        ("list", "", Request("deployments")),
        ("queue", "a/b&c", Request("queue/metrics", (("model", "a/b&c"),), "queue")),
        ("revisions", "a b", Request("deployments/a%20b/revisions", (("limit", "1"),), "revisions")),
    ],
)
def test_what_is_asked_for(name: Name, subject: str, request_: Request) -> None:
    assert FETCHES[name].request(subject) == request_
    assert request_.scope == (name if FETCHES[name].is_opt_in else PROJECT)


@pytest.mark.parametrize(
    ("name", "subjects"), [("list", [""]), ("queue", ["extra", "jobs"])], ids=["one list", "each queue once"]
)
def test_what_one_poll_of_a_project_is_about(name: Name, subjects: list[str]) -> None:
    project = Project(Target("p", queues=("extra", "jobs"), has_scaling_queues=True))
    project = after("list", project, "", listed(one(autoscaling=BACKLOG), one("b", "dep_2", autoscaling=BACKLOG)))
    of = FETCHES[name].subjects
    assert of is not None
    assert of(project, at(0)) == subjects


def test_deployments_are_polled_one_by_one() -> None:
    assert FETCHES["each"].subjects is None


def test_a_good_answer_fills_its_own_mapping_only() -> None:
    before = Project(Target("p", ("chat",), is_listed=False))
    deployment = after("each", before, "chat", body())
    assert (set(deployment.records), deployment.queues) == ({"chat"}, {})
    queue = after("queue", deployment, "jobs", QUEUE_BODY)
    assert queue.records is deployment.records
    assert set(queue.queues) == {"jobs"}


@pytest.mark.parametrize("name", ["each", "list"])
def test_the_variables_that_become_labels_are_read(name: Name) -> None:
    variables = [{"name": "TEAM", "value": "search"}, {"name": "OTHER", "value": "x"}]
    target = Target("p", ("chat",), name == "list", labels=Labels(variables={"TEAM": "label_team"}))
    answer = body(environment_variables=variables) if name == "each" else listed(one(environment_variables=variables))
    (record,) = after(name, Project(target), "chat", answer).records.values()
    assert record.labels == (("label_team", "search"),)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("name", ["each", "queue", "revisions"])
def test_an_error_means_what_it_says(name: Name, kind: type[ApiError]) -> None:
    failure = error(kind)
    assert FETCHES[name].failure(failure) is failure


@pytest.mark.parametrize("kind", ERRORS)
def test_a_404_for_the_list_is_an_invalid_response_and_no_other_is(kind: type[ApiError]) -> None:
    failure = kind("HTTP 404 Not Found", request_id="r-1")
    read = FETCHES["list"].failure(failure)
    assert type(read) is (InvalidResponse if kind is NotFound else kind)
    assert (str(read), read.request_id) == ("HTTP 404 Not Found", "r-1")


def test_each_project_has_a_list_reader_of_its_own_which_reuses_what_is_unchanged() -> None:
    target = Target("p")
    reader, answer = FETCHES["list"].reader(target), listed(one())
    first, again = lists(reader, target, answer, answer)
    assert again.items[0] is first.items[0]
    (other,) = lists(FETCHES["list"].reader(target), target, answer)
    assert other.items[0] is not first.items[0]


def test_the_list_reader_keeps_to_the_targets_limit() -> None:

    target = Target("p", limits=Limits(max_deployments_per_project=1))
    (listing,) = lists(FETCHES["list"].reader(target), target, listed(one("b", "dep_2"), one("a", "dep_1")))
    assert [item.id for item in listing.items] == ["dep_1"]
