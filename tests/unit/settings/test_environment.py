"""Variables as people and programs set them."""

from __future__ import annotations

import pytest

from exporter.settings import environment
from exporter.settings.values import mistake


def problem(name: str, value: str) -> str:
    _, problems = environment.settings({name: value})
    return str(problems[0]) if problems else "none"


@pytest.mark.parametrize("value", ["30s", " 30s", "30s\r", "\t30s \r\n"])
def test_blanks_around_a_value_are_ignored(value: str) -> None:
    assert environment.settings({"TOGETHER_EXPORTER_POLL_INTERVAL": value}) == (
        {"TOGETHER_EXPORTER_POLL_INTERVAL": "30s"},
        [],
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "is empty; set it, or unset it"),
        (" \r\n", "is empty; set it, or unset it"),
        ('"30s"', "has quotes around its value, as docker --env-file keeps them; remove the quotes"),
        ("'30s'", "has quotes around its value"),
        ("${INTERVAL}", "contains an unexpanded variable reference; write the value itself"),
        ("${INTERVAL:-30s}", "contains an unexpanded variable reference"),
        ("$(INTERVAL)", "contains an unexpanded variable reference"),
        ("$INTERVAL", "contains an unexpanded variable reference"),
        ("30s\udcff", "is not UTF-8 text; set it again as UTF-8"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(value: str, reason: str) -> None:
    name = "TOGETHER_EXPORTER_POLL_INTERVAL"
    assert problem(name, value).startswith(f"{name}: {reason}")


@pytest.mark.parametrize("text", ["prod-\\d+$", "a$b", "$", "100$", '"', "'a\" b'c", "{}", "sk-$x"])
def test_text_with_such_characters_is_left_alone(text: str) -> None:
    assert mistake(text) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LOG_LEVEL", "LOG__LEVEL"),
        ("LOG__LEVLE", "LOG__LEVEL"),
        ("WEB_LISTEN_ADDRESS", "WEB__LISTEN_ADDRESS"),
        ("POL_INTERVAL", "POLL_INTERVAL"),
        ("POLL__INTERVAL", "POLL_INTERVAL"),
        ("CONFIG_FILE", "CONFIG__FILE"),
        ("PROJECTS__0__NAME", "PROJECTS"),
        ("log__level", "LOG__LEVEL"),
    ],
)
def test_a_variable_that_is_not_known_is_told_which_was_meant(name: str, meant: str) -> None:
    prefix = "TOGETHER_EXPORTER_"
    assert problem(f"{prefix}{name}", "x") == f"{prefix}{name}: unknown variable; did you mean {prefix}{meant}?"


def test_a_variable_like_no_other_is_refused() -> None:
    text = problem("TOGETHER_EXPORTER_XYZZY", "x")
    assert (
        text == "TOGETHER_EXPORTER_XYZZY: is not a known variable; unset it, or see the list in docs/configuration.md"
    )


def test_a_variable_that_is_like_none_names_the_list() -> None:
    assert "docs/configuration.md" in problem("TOGETHER_EXPORTER_X", "x")


@pytest.mark.parametrize(
    "name",
    [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_10170_TCP",
        "PORT_10170_TCP_PROTO",
        "PORT_10170_TCP_ADDR",
        "EU_SERVICE_HOST",
        "EU_SERVICE_PORT_METRICS",
        "EU_WEST_1_PORT",
        "EU_PORT_10170_UDP_PORT",
    ],
)
def test_the_links_to_services_that_kubernetes_sets_are_ignored(name: str) -> None:
    assert environment.settings({f"TOGETHER_EXPORTER_{name}": "tcp://10.0.0.1:10170"}) == ({}, [])


@pytest.mark.parametrize("text", ["[", "[[" * 100_000, '{"a": 1', "x: 1", "[,]"])
def test_lists_and_maps_are_json(text: str) -> None:
    assert problem("TOGETHER_EXPORTER_PROJECTS", text).startswith("TOGETHER_EXPORTER_PROJECTS: is not valid JSON")


@pytest.mark.parametrize("text", ['[{"deployments": null}]', "[null]", "null"])
def test_a_null_is_no_default(text: str) -> None:
    assert problem("TOGETHER_EXPORTER_PROJECTS", text).startswith("TOGETHER_EXPORTER_PROJECTS: contains a null")


def test_every_price_has_a_variable() -> None:
    assert environment.settings({"TOGETHER_EXPORTER_GPU_HOURLY_COST__H100": "2"})[1] == []
