"""The exporter's metrics about itself: what is there from the start, and what a project leaves behind."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from exporter.api.errors import REASONS
from exporter.metrics.page import Format
from exporter.self_metrics import CODES, OPENMETRICS_END, SelfMetrics, described, exposition


def sample(metrics: SelfMetrics, name: str, **labels: str) -> float | None:
    found = [registry.get_sample_value(name, labels) for registry in (metrics.polling, metrics.live)]
    return next((value for value in found if value is not None), None)


@pytest.mark.parametrize("fetch", ["each", "list", "queue"])
def test_everything_about_a_project_starts_at_zero(fetch: str) -> None:
    metrics = SelfMetrics(runtime=False)
    metrics.start_project("p", 30.0, [fetch])
    assert sample(metrics, "together_exporter_polls_total", project="p", fetch=fetch) == 0
    assert sample(metrics, "together_exporter_poll_duration_seconds_count", project="p", fetch=fetch) == 0
    for reason in REASONS:
        name = "together_exporter_poll_failures_total"
        assert sample(metrics, name, project="p", fetch=fetch, reason=reason) == 0
    for code in CODES:
        assert sample(metrics, "together_exporter_api_requests_total", project="p", code=code) == 0
    assert sample(metrics, "together_exporter_poll_interval_seconds", project="p") == 30.0


def test_a_reload_goes_on_counting() -> None:
    metrics = SelfMetrics(runtime=False)
    metrics.start_project("p", 30.0, ["list"])
    metrics.polls.labels("p", "list").inc()
    metrics.start_project("p", 60.0, ["list"])
    assert sample(metrics, "together_exporter_polls_total", project="p", fetch="list") == 1
    assert sample(metrics, "together_exporter_poll_interval_seconds", project="p") == 60.0


def test_a_project_that_leaves_leaves_nothing_behind_and_others_stay() -> None:
    metrics = SelfMetrics(runtime=False)
    metrics.start_project("p", 30.0, ["list", "queue"])
    metrics.start_project("q", 30.0, ["list"])
    metrics.end_project("p")
    text = exposition(metrics.polling, "text").decode()
    assert 'project="p"' not in text
    assert 'project="q"' in text


def test_the_shard_is_one_series() -> None:
    metrics = SelfMetrics(runtime=False)
    metrics.set_shard(0, 1)
    metrics.set_shard(2, 3)
    (family,) = metrics.shard_info.collect()
    assert [each.labels for each in family.samples] == [{"index": "2", "total": "3"}]
    assert sample(metrics, "together_exporter_shards") == 3


def test_missed_polls_are_seen_without_a_new_page() -> None:
    metrics = SelfMetrics(runtime=False)
    metrics.polls_missed.inc(3)
    assert b"together_exporter_polls_missed_total 3.0" in exposition(metrics.live, "text")


def test_process_metrics_are_there_where_they_are_asked_for_only() -> None:
    texts = [exposition(SelfMetrics(runtime=runtime).live, "text") for runtime in (True, False)]
    assert [b"process_open_fds" in text for text in texts] == [True, False]
    assert [b"python_gc_collections_total" in text for text in texts] == [True, False]


@pytest.mark.parametrize("format_", ["text", "openmetrics"])
def test_both_registries_make_one_document(format_: Format) -> None:
    metrics = SelfMetrics()
    metrics.start_project("p", 30.0, ["list"])
    text = b"".join(exposition(registry, format_) for registry in (metrics.polling, metrics.live)).decode()
    assert "# EOF" not in text
    parse = plain if format_ == "text" else openmetrics
    families = list(parse(text + (OPENMETRICS_END.decode() if format_ == "openmetrics" else "")))
    names = [family.name for family in families]
    assert len(set(names)) == len(names) > 15
    assert not any(each.name.endswith("_created") for family in families for each in family.samples)


def test_the_reference_has_every_metric_with_its_help() -> None:
    names = {family.name for family in described()}
    metrics = SelfMetrics(runtime=False)
    collected = {family.name for registry in (metrics.polling, metrics.live) for family in registry.collect()}
    assert names == collected
    assert all(family.documentation.endswith((".", ").")) for family in described())
