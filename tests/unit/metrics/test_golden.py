"""JSON in, the whole exposition out. `make golden` rewrites; read the diff."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.api.models import Queue, read_deployment
from exporter.metrics.collector import ViewCollector
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import GROUPS
from exporter.records import Instant, Target, View
from exporter.steps import in_one_go
from exporter.store import Store

DATA = Path(__file__).parents[2] / "testdata"
CASES = sorted(path.stem for path in (DATA / "api").glob("*.json"))
NOW = Instant(0.0, 1775001600.0)
PRICES = {"h100-80gb": 2.5}


def view_of(*cases: str) -> View:
    store = Store([Target("research", cases, False)])
    for case in cases:
        reading = read_deployment((DATA / "api" / f"{case}.json").read_bytes())
        store.apply("research", case, reading.deployment, NOW)
        store.apply_queue("research", case, Queue(messages_waiting=3, messages_running=1), NOW)
    return store.view(NOW)


def oracle(view: View) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(ViewCollector(view, PRICES))
    return registry


@pytest.mark.parametrize("case", CASES)
def test_the_exposition_of_an_answer(case: str) -> None:
    page = Exposition(PRICES).render(view_of(case), "text")
    golden = DATA / "exposition" / f"{case}.txt"
    if os.environ.get("GOLDEN"):
        golden.write_bytes(page)
    assert page.decode() == golden.read_text()


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("case", CASES)
def test_promtool_finds_nothing(case: str) -> None:
    page = (DATA / "exposition" / f"{case}.txt").read_bytes()
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_every_byte_is_what_prometheus_client_would_write() -> None:
    view = view_of(*CASES)
    assert Exposition(PRICES).render(view, "text") == generate_latest(oracle(view))
    page = Exposition(PRICES).render(view, "openmetrics") + b"# EOF\n"
    assert page == generate_openmetrics(oracle(view))  # type: ignore[no-untyped-call]  # has no annotations
    assert list(text_string_to_metric_families(page.decode()))  # type: ignore[no-untyped-call]  # has no annotations


def apply(store: Store, case: str) -> None:
    reading = read_deployment((DATA / "api" / f"{case}.json").read_bytes())
    store.apply("p", "rollout", reading.deployment, NOW)


def test_what_is_drawn_once_is_drawn_as_if_anew() -> None:
    store = Store([Target("p", ("rollout",), False)])
    exposition = Exposition(PRICES)
    for case in ("rollout", "unknown", "rollout", "null"):
        apply(store, case)
        assert exposition.render(store.view(NOW), "text") == Exposition(PRICES).render(store.view(NOW), "text")


def test_nothing_changed_is_not_drawn_again() -> None:
    exposition, view = Exposition(PRICES), view_of("rollout")
    page = in_one_go(exposition.draw(view))
    assert list(exposition.draw(view)) == []
    assert in_one_go(exposition.draw(view)) is page
    assert page.chunks("text") is page.chunks("text")


def test_a_page_stays_as_it_is_while_the_next_one_is_drawn() -> None:
    store, exposition, steps = Store([Target("p", ("rollout",), False)]), Exposition(PRICES), 0
    apply(store, "rollout")
    page = in_one_go(exposition.draw(store.view(NOW)))
    before = b"".join(page.chunks("text"))
    apply(store, "unknown")
    for _ in exposition.draw(store.view(NOW)):
        steps += 1
        assert b"".join(page.chunks("text")) == before
    assert steps
    assert exposition.render(store.view(NOW), "text") != before == b"".join(page.chunks("text"))


def test_drawing_that_is_given_up_is_begun_anew() -> None:
    exposition, view = Exposition(PRICES), view_of(*CASES)
    for steps in range(len(list(Exposition(PRICES).draw(view)))):
        given_up = exposition.draw(view)
        for _ in range(steps):
            next(given_up)
        given_up.close()
    assert exposition.render(view, "text") == Exposition(PRICES).render(view, "text")


def test_no_secret_is_in_the_page() -> None:
    assert b"hunter2" not in Exposition(PRICES).render(view_of("rollout"), "text")


def test_a_selection_holds_what_was_asked_for() -> None:
    drawn = in_one_go(Exposition(PRICES).draw(view_of("rollout")))
    page = drawn.selection("text", frozenset({"together_deployment_poll_success", "nope"}))
    assert [line for line in page.decode().splitlines() if not line.startswith("#")] == [
        'together_deployment_poll_success{deployment="chat \\"prod\\"\\\\\\n",project="research"} 1.0'
    ]


def test_each_metric_has_one_row_with_unique_labels() -> None:
    rows = [(family, group) for group in GROUPS for family in group.families]
    names = [family.name for family, _ in rows]
    assert len(names) == len(set(names))
    for family, group in rows:
        labels = (*group.identity, *family.labels)
        assert len(labels) == len(set(labels)), family.name
        assert family.help.endswith((".", ").")), family.name
        assert (family.type == "counter") == family.name.endswith("_total"), family.name
