"""What the page's address asks for: filters, order, and the way back to an address."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.datastructures import QueryParams

from exporter.api.models import Deployment as Listed
from exporter.status.model import Deployment
from exporter.status.report import report
from exporter.web.page import StatusPage
from exporter.web.query import EXACT, MAX_FILTER, MAX_VALUE, SORTS, Query
from tests.pipeline import run
from tests.unit.status.facts import facts, fleet, replica, well
from tests.unit.web.test_page import Reader, page_of, shown

FLEET = (
    well("chat-prod", gpu_type="h100", gpu_count=8, ready_replicas=1),
    well("chat-dev"),
    well("embed", status="Failed", gpu_type="h200", gpu_count=1),
)


def found(query: Query, *listed: Listed) -> list[str]:
    return [d.deployment for d in deployments(*listed or FLEET) if query.matcher()(d)]


def deployments(*listed: Listed) -> tuple[Deployment, ...]:
    return run(report(facts(fleet(*listed)))).deployments


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (Query(), ["embed", "chat-prod", "chat-dev"]),
        (Query("CHAT"), ["chat-prod", "chat-dev"]),
        (Query("chat h100"), ["chat-prod"]),
        (Query("is failed"), ["embed"]),
        (Query("id-embed"), ["embed"]),
        (Query("nothing"), []),
        (Query(level="critical"), ["embed"]),
        (Query(level="ok"), ["chat-dev"]),
        (Query(level="o"), []),
        (Query(status="Failed"), ["embed"]),
        (Query(gpu_type="h100"), ["chat-prod"]),
        (Query(gpu_type="none"), ["chat-dev"]),
        (Query(project="p"), ["embed", "chat-prod", "chat-dev"]),
        (Query(project="q"), []),
        (Query(deployment="chat"), []),
        (Query(deployment="chat-dev"), ["chat-dev"]),
        (Query("chat", level="critical"), []),
    ],
    ids=str,
)
def test_filters_are_exact_and_words_must_all_be_found(query: Query, names: list[str]) -> None:
    assert found(query) == names


def test_critical_is_a_level_and_no_word_of_a_healthy_deployment() -> None:
    assert found(Query(level="ok"), well("ok-critical"), well("b", status="Failed")) == ["ok-critical"]


def test_own_labels_are_found_as_they_are_configured() -> None:
    (chat,) = deployments(well("chat"))
    labelled = replace(chat, labels={"label_team": "search"})
    assert Query(label="team=search").matcher()(labelled)
    assert Query("team=sea").matcher()(labelled)
    assert not Query(label="team=sea").matcher()(labelled)
    assert not Query(label="team=search").matcher()(chat)


@pytest.mark.parametrize("text", ["r-77", "imagepull", "no such tag"])
def test_a_replicas_reason_and_message_are_found(text: str) -> None:
    event = replica("Waiting", replica_status_reason="ImagePullBackOff", replica_status_message="No such tag")
    assert found(Query(text), well("a", replica_events={"r-77": event}), well("b")) == ["a"]


def test_each_column_sorts_both_ways_and_says_so() -> None:
    orders = {
        "name": ["chat-dev", "chat-prod", "embed"],
        "trouble": ["embed", "chat-prod", "chat-dev"],
        "ready": ["chat-prod", "embed", "chat-dev"],
        "gpus": ["chat-prod", "embed", "chat-dev"],
    }
    for key in SORTS:
        page, opposite = (shown(*FLEET, query=Query(sort=sort)) for sort in (key, f"-{key}"))
        assert page.rows == orders.get(key, page.rows), key
        ends = {"ascending", "descending"}
        assert {aria(page), aria(opposite)} == ends, key
        if key in {"name", "trouble", "gpus"}:  # without equal ones, which keep their order
            assert opposite.rows[0] == orders[key][-1], key


def aria(page: Reader) -> str | None:
    (sorted_by,) = [attributes for attributes in page.named("th") if "aria-sort" in attributes]
    return sorted_by["aria-sort"]


def test_the_latest_change_and_the_oldest_poll_come_first() -> None:
    first, second = deployments(well("a"), well("b"))
    pair = [replace(first, status_since="2026-01-01"), replace(second, status_since="2026-01-02")]
    Query(sort="since").order(pair)
    assert [d.deployment for d in pair] == ["b", "a"]
    pair = [replace(first, last_success="2026-01-02"), replace(second, last_success="2026-01-01")]
    Query(sort="poll").order(pair)
    assert [d.deployment for d in pair] == ["b", "a"]


def test_a_query_comes_from_the_address_and_goes_back_to_it() -> None:
    query = Query.of(QueryParams("filter=+chat+%26&sort=-poll&label=team%3Da+b&level="))
    assert query == Query("chat &", label="team=a b", sort="-poll")
    assert query.link() == "./?filter=chat+%26&label=team%3Da+b&sort=-poll"
    assert query.link(sort="trouble", label="") == "./?filter=chat+%26"
    assert query.sort_link("name") == "./?filter=chat+%26&label=team%3Da+b&sort=name"
    assert Query(sort="name").sort_link("name") == "./?sort=-name"
    assert Query().link() == "./"
    assert Query.of(QueryParams("sort=nonsense&filter=" + "x" * 1000)) == Query("x" * MAX_FILTER)
    assert Query.of(QueryParams("project=" + "x" * 10_000)) == Query(project="x" * MAX_VALUE)


def test_every_exact_filter_is_a_part_of_the_query() -> None:
    assert all(getattr(Query(), name) == "" for name in EXACT)


def test_filters_in_use_can_be_taken_back_one_by_one() -> None:
    page = shown(*FLEET, query=Query("chat", status="Ready", level="ok"))
    assert "1 of 3 deployments matches" in page.text
    assert {"./?level=ok&status=Ready", "./?filter=chat&level=ok", "./?filter=chat&status=Ready", "./"} <= set(
        page.links
    )
    assert {"name": "level", "type": "hidden", "value": "ok"} in page.named("input")


def test_the_form_keeps_the_opposite_order() -> None:
    chosen = [each["value"] for each in shown(*FLEET, query=Query(sort="-gpus")).named("option") if "selected" in each]
    assert chosen == ["-gpus"]


def test_what_can_be_chosen_is_what_there_is() -> None:
    options = [each["value"] for each in shown(*FLEET).named("option")]
    assert {"Failed", "Ready", "h100", "h200", "none"} <= set(options)
    assert "p" not in options, "one project is no choice"
    assert "gone" in [each["value"] for each in shown(*FLEET, query=Query(status="gone")).named("option")]


def test_a_text_from_the_address_is_text() -> None:
    nasty = '"><script>alert(1)</script>'
    status = run(report(facts(fleet(well("a")))))
    for name in ("filter", *EXACT):
        page = page_of(status, Query(**{name: nasty}), StatusPage("/m"))
        assert len(page.named("script")) == 1, name
