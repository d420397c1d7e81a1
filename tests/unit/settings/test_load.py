from __future__ import annotations

from pathlib import Path

import pytest

from exporter.settings.load import load
from exporter.settings.problems import ConfigError

SECRET = "sk-very-secret"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", SECRET)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problem(text: str, here: Path) -> str:
    (here / "f.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load({}, "f.yml")
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_the_key_alone_is_a_full_configuration(key: None) -> None:
    (project,) = load({}).projects
    assert (project.name, project.fetch, project.deployments) == ("default", "list", None)
    assert project.base_url == "https://api.together.ai/v1"
    assert project.key.read() == SECRET


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_a_base_url_works_with_and_without_its_version(url: str, key: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_BASE_URL", url)
    assert load({}).projects[0].base_url == "http://h:1/v1"


def test_the_command_line_wins_over_the_environment_over_the_file(
    key: None, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "f.yml").write_text("poll_interval: 1m\npoll_timeout: 1s\nlog: {level: error, format: json}\n")
    monkeypatch.setenv("TOGETHER_EXPORTER_POLL_INTERVAL", "2m")
    monkeypatch.setenv("TOGETHER_EXPORTER_LOG__LEVEL", "warn")
    settings = load({"log": {"level": "debug"}}, "f.yml").settings
    assert (settings.poll_interval, settings.poll_timeout) == (120, 1)
    assert (settings.log.level, settings.log.format) == ("debug", "json")


def test_a_project_says_and_inherits(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "key").write_text(f"{SECRET}\n")
    (here / "f.yml").write_text(
        "poll_interval: 1m\nprojects:\n"
        "- {name: r, api_key_file: key, deployments: [a, {name: b, poll_interval: 2m}]}\n"
        "- {name: s, api_key_file: key, include: ['prod-.*'], exclude: ['.*-scratch'], poll_interval: 5s}\n"
    )
    first, second = load({}, "f.yml").projects
    assert (first.fetch, first.deployments, first.requests_per_minute) == ("each", {"a": 60, "b": 120}, 1.5)
    assert (second.fetch, second.poll_interval, second.stale_after) == ("list", 5, 300)
    assert [second.wants(name) for name in ("prod-a", "a-prod-a", "prod-a-scratch")] == [True, False, False]
    (here / "key").write_text("rotated")
    assert first.key.read() == "rotated"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("projects: [{poll_interval: '30'}]", 'f.yml:1: projects[0].poll_interval: "30" has no unit; write 30s'),
        ("pol_interval: 30s", 'f.yml:1: pol_interval: is not a known key; did you mean "poll_interval"?'),
        ("web: {listen: ':1'}", 'f.yml:1: web.listen: is not a known key; did you mean "listen_address"?'),
        ("poll_interval: 1m\npoll_interval: 2m", "f.yml:2: poll_interval: is written twice; keep one"),
        ("poll_interval: [", "f.yml:1: is not valid YAML"),
        ("[]", "f.yml:1: must be a mapping"),
        ("projects: []", "f.yml:1: projects: must not be empty"),
        ("projects: [{fetch: each}]", "f.yml:1: projects[0].fetch: each needs `deployments`"),
        ("projects: [{fetch: all}]", "f.yml:1: projects[0].fetch: must be 'each' or 'list'"),
        ("projects: [{name: a}, {name: a}]", 'f.yml:1: projects[0].name: "a" names more than one project'),
        ("projects: [{include: ['[']}]", "f.yml:1: projects[0].include[0]: is not a regular expression"),
        ("projects: [{deployments: [a, a]}]", 'f.yml:1: projects[0].deployments: "a" is listed 2 times'),
        ("projects: [{deployments: ['..']}]", "f.yml:1: projects[0].deployments[0].name: is not a deployment's name"),
        ("projects: [{base_url: api.together.ai}]", "f.yml:1: projects[0].base_url: is not a URL"),
        ("projects: [{api_key_file: nowhere}]", "f.yml:1: projects[0].api_key_file: nowhere cannot be read"),
        ("projects: [{api_key_env: NOPE}]", "f.yml:1: projects[0].api_key_env: NOPE is not set"),
        (f"projects: [{{api_key: {SECRET}, api_key_env: A}}]", "f.yml:1: projects[0]: has api_key_env and api_key"),
        (f"projects: [{{api_key: [{SECRET}]}}]", "f.yml:1: projects[0].api_key: must be text"),
        ("stale_after: 10s", "f.yml: projects[0].stale_after: 10s is shorter than poll_interval 30s"),
        ("shard: {index: 2, total: 2}", "f.yml:1: shard.index: must be below shard.total, which is 2"),
        ("gpu_hourly_cost: {h100-80gb: dear}", "f.yml:1: gpu_hourly_cost.h100-80gb: must be a number"),
        ("replica_metrics: perhaps", "f.yml:1: replica_metrics: must be true or false"),
    ],
)
def test_a_mistake_is_named_with_its_file_key_and_hint(text: str, message: str, key: None, here: Path) -> None:
    assert problem(text, here).startswith(message)


def test_a_file_that_is_not_there_is_named(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"^nope\.yml: cannot be read: No such file"):
        load({}, "nope.yml")


def test_without_any_key_the_hint_is_given() -> None:
    with pytest.raises(ConfigError, match="has no API key; set TOGETHER_API_KEY"):
        load({})


def test_all_problems_come_at_once(key: None, here: Path) -> None:
    assert "; and 1 more: see" in problem("poll_interval: 5\nprojects: [{api_key_fil: x}]", here)


def test_a_mistyped_variable_is_refused_and_a_service_link_is_not(key: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT", "PORT_10170_TCP_ADDR"):
        monkeypatch.setenv(f"TOGETHER_EXPORTER_{name}", "10.0.0.1")
    load({})
    monkeypatch.setenv("TOGETHER_EXPORTER_POL_INTERVAL", "30s")
    with pytest.raises(
        ConfigError, match=r"TOGETHER_EXPORTER_POL_INTERVAL: .* did you mean TOGETHER_EXPORTER_POLL_INTERVAL"
    ):
        load({})


def test_a_variable_with_a_mistake_is_named(key: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_EXPORTER_POLL_INTERVAL", "30")
    with pytest.raises(ConfigError, match=r'^TOGETHER_EXPORTER_POLL_INTERVAL: "30" has no unit; write 30s$'):
        load({})
