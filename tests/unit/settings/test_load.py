from __future__ import annotations

import time
from pathlib import Path

import pytest
import trustme

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
        ("pol_interval: 30s", 'f.yml:1: pol_interval: unknown key; did you mean "poll_interval"?'),
        ("web: {listen: ':1'}", 'f.yml:1: web.listen: unknown key; did you mean "listen_address"?'),
        ("poll_interval: 1m\npoll_interval: 2m", "f.yml:2: poll_interval: is written twice; keep one"),
        ("poll_interval: [", "f.yml:1: is not valid YAML"),
        ("[]", "f.yml:1: must be a mapping"),
        ("projects: []", "f.yml:1: projects: must not be empty"),
        ("projects: [{fetch: each}]", "f.yml:1: projects[0].fetch: each needs `deployments`"),
        ("projects: [{fetch: all}]", "f.yml:1: projects[0].fetch: must be 'each' or 'list'"),
        ("projects: [{name: a}, {name: a}]", 'f.yml:1: projects[0].name: "a" names more than one project'),
        ("projects: [{include: ['[']}]", "f.yml:1: projects[0].include[0]: is not a regular expression"),
        ("projects: [{deployments: [a, a]}]", 'f.yml:1: projects[0].deployments: "a" is listed 2 times'),
        (
            "projects: [{deployments: ['..']}]",
            "f.yml:1: projects[0].deployments[0].name: is not a valid deployment name",
        ),
        ("projects: [{base_url: api.together.ai}]", "f.yml:1: projects[0].base_url: is not a URL"),
        ("projects: [{api_key_file: nowhere}]", "f.yml:1: projects[0].api_key_file: nowhere cannot be read"),
        ("projects: [{api_key_env: NOPE}]", "f.yml:1: projects[0].api_key_env: NOPE is not set"),
        (f"projects: [{{api_key: {SECRET}, api_key_env: A}}]", "f.yml:1: projects[0]: has api_key_env and api_key"),
        (f"projects: [{{api_key: [{SECRET}]}}]", "f.yml:1: projects[0].api_key: must be text"),
        ("stale_after: 10s", "f.yml:1: stale_after: 10s is shorter than poll_interval 30s"),
        ("shard: {index: 2, total: 2}", "f.yml:1: shard.index: must be below shard.total, which is 2"),
        ("gpu_hourly_cost: {h100-80gb: dear}", "f.yml:1: gpu_hourly_cost.h100-80gb: must be a number"),
        ("replica_metrics: perhaps", "f.yml:1: replica_metrics: must be true or false"),
        ("projects: [{base_url: 'https://é..x/v1'}]", "f.yml:1: projects[0].base_url: is not a valid URL"),
        ("projects: [{base_url: 'https://h/v1?a=b'}]", "f.yml:1: projects[0].base_url: must not have a query"),
        ("poll_interval: 2026-13-45", "f.yml:1: poll_interval: is not a valid timestamp"),
        ("projects: [{name: 2026-02-30}]", "f.yml:1: projects[0].name: is not a valid timestamp"),
        ("projects:\n- deployments:", "f.yml:2: projects[0].deployments: is empty; give it a value, or remove it"),
        ("projects: [{api_key_file: }]", "f.yml:1: projects[0].api_key_file: is empty"),
        ("projects: [{api_key_file: ''}]", "f.yml:1: projects[0].api_key_file: must not be empty"),
        ("projects: [{deployments: [12345]}]", "f.yml:1: projects[0].deployments[0]: must be text; put it in quotes"),
        ("projects: [{deployments: [no]}]", "f.yml:1: projects[0].deployments[0]: must be text; put it in quotes"),
        ("projects: [{deployments: [12:30]}]", "f.yml:1: projects[0].deployments[0]: must be text; put it in quotes"),
        ("projects: [{deployments: [{name: 1}]}]", "f.yml:1: projects[0].deployments[0].name: must be text; put it in"),
        ("projects: [{queues: [no]}]", "f.yml:1: projects[0].queues[0]: must be text; put it in quotes"),
        ("projects: [{include: []}]", "f.yml:1: projects[0].include: must not be empty"),
        ("projects: [{include: ['(?!x)']}]", "f.yml:1: projects[0].include[0]: is not a regular expression"),
        ("projects: [{label_rules: [{match: '['}]}]", "f.yml:1: projects[0].label_rules[0].match: is not a regular"),
        ("projects: [{label_rules: [{labels: {a: b}}]}]", "f.yml:1: projects[0].label_rules[0].match: is required"),
        ("projects: [{labels: {Team: a, team: b}}]", 'f.yml:1: projects[0].labels: has "Team" and "team", which are'),
        ("projects: [{labels: {team: no}}]", "f.yml:1: projects[0].labels.team: must be text; put it in quotes"),
        ("projects: [{label_variables: [TEAM, team]}]", 'f.yml:1: projects[0].label_variables: has "TEAM" and "team"'),
        (
            "projects: [{deployments: [{name: a, labels: {a-b: x, a_b: y}}]}]",
            'f.yml:1: projects[0].deployments[0].labels: has "a-b" and "a_b"',
        ),
        ("projects: [{ca_file: nowhere.pem}]", "f.yml:1: projects[0].ca_file: nowhere.pem cannot be read: No such"),
        ("web: {listen_address: localhost}", 'f.yml:1: web.listen_address[0]: "localhost" has no port'),
        ("web: {listen_address: [':1', ':99999']}", 'f.yml:1: web.listen_address[1]: ":99999" has a port above 65535'),
        ("web: {listen_address: []}", "f.yml:1: web.listen_address: must not be empty"),
        ("web: {listen_address: [':1', ':1']}", 'f.yml:1: web.listen_address: lists ":1" more than once'),
        ("web: {route_prefix: '/a b'}", "f.yml:1: web.route_prefix: must be a path of letters"),
        ("web: {route_prefix: '/a/../b'}", "f.yml:1: web.route_prefix: must be a path of letters"),
        ("web: {telemetry_path: '/a?b'}", "f.yml:1: web.telemetry_path: must be a path such as /metrics"),
        ("poll_interval: 999y", 'f.yml:1: poll_interval: "999y" is too long; write at most 100y'),
        (f"shard: {{total: 1{'0' * 400}}}", "f.yml:1: shard.total: must be less than or equal to 1000000"),
        (f"projects: [{{api_key: '\"{SECRET}\"'}}]", "f.yml:1: projects[0].api_key: the API key has quotes around"),
        (f"projects: [{{'{SECRET[:3]}\\n': 1}}]", "f.yml:1: projects[0].sk-\\n: unknown key"),
    ],
)
def test_a_mistake_is_named_with_its_file_key_and_hint(text: str, message: str, key: None, here: Path) -> None:
    assert problem(text, here).startswith(message)


def test_a_file_that_is_not_there_is_named(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"^nope\.yml: cannot be read: No such file"):
        load({}, "nope.yml")


def test_without_any_key_the_hint_is_given() -> None:
    with pytest.raises(ConfigError, match=r"^TOGETHER_API_KEY: is not set; set TOGETHER_API_KEY to"):
        load({})


def test_all_problems_come_at_once(key: None, here: Path) -> None:
    assert "; 1 more: run" in problem("poll_interval: 5\nprojects: [{api_key_fil: x}]", here)


MANY_PROBLEMS = """
poll_intervall: 30s
web: {config_file: nope.yml, listen_adress: ":1"}
shard: {index: 3, total: 2}
projects:
  - name: a
    base_url: https://x/v1?y=1
    api_key_file: nope
    lables: {}
  - name: b
    api_key_env: NOPE
    ca_file: gone.pem
    deployments: [a, 1]
  - name: b
    poll_interval: 5
  - {name: c, api_key_fil: x, fetch: each}
  - {name: d, deployments: [x, x]}
"""


def listed(text: str, here: Path) -> list[tuple[int | None, str]]:
    """Line and key of each problem."""
    (here / "f.yml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load({}, "f.yml")
    return [(problem.line, problem.key) for problem in raised.value.problems]


def test_invalid_values_hide_no_problem_of_another_kind(here: Path) -> None:
    assert listed(MANY_PROBLEMS, here) == [
        (None, ""),  # nope.yml
        (2, "poll_intervall"),
        (3, "web.listen_adress"),
        (4, "shard.index"),
        (7, "projects[0].base_url"),
        (8, "projects[0].api_key_file"),
        (9, "projects[0].lables"),
        (10, "projects[1].name"),
        (11, "projects[1].api_key_env"),
        (12, "projects[1].ca_file"),
        (13, "projects[1].deployments[1]"),
        (14, "projects[2].name"),
        (14, "projects[2]"),
        (15, "projects[2].poll_interval"),
        (16, "projects[3].api_key_fil"),
        (16, "projects[3].fetch"),
        (17, "projects[4]"),
        (17, "projects[4].deployments"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("projects: [{api_key_fil: x}]", [(1, "projects[0].api_key_fil")]),
        ("projects: [{base_url: 5}, {name: q}]", [(1, "projects[0].base_url")]),
        ("projects: [{name: 5}, {name: 6}]", [(1, "projects[0].name"), (1, "projects[1].name")]),
        ("projects: [{deployments: 5, fetch: each}]", [(1, "projects[0].deployments")]),
        ("projects: 5", [(1, "projects")]),
        ("projects: [5, {name: b, base_url: x}]", [(1, "projects[0]")]),
        ("projects: [{deploymets: [a], fetch: each}]", [(1, "projects[0].deploymets")]),
        ("poll_interval: 5\nprojects: [{stale_after: 10s}]", [(1, "poll_interval")]),
        ("poll_intervall: 5s\nprojects: [{stale_after: 10s}]", [(1, "poll_intervall")]),
        ("projects: [{poll_interval: 5, stale_after: 10s}]", [(1, "projects[0].poll_interval")]),
        ("projects: [{poll_interval: 10m, stale_after: 5}]", [(1, "projects[0].stale_after")]),
        ("projects: [{name: a, poll_interval: 10m}, {name: b}]\nstale_after: 5s", [(2, "stale_after")] * 2),
        ("projects: [{base_url: 'http://x/?y'}]", [(1, "projects[0].base_url")]),
        (
            "projects: [{name: p, api_key: x, api_key_env: TOGETHER_API_KEY}, {name: q, base_url: 'http://x/?y'}]",
            [(1, "projects[0]"), (1, "projects[1].base_url")],
        ),
        (
            "projects: [{name: p}, {name: p, deployments: [{name: 5}]}]",
            [(1, "projects[1].deployments[0].name"), (1, "projects[0].name"), (1, "projects[1].name")],
        ),
        ("projects: [{lables: {}, deployments: [x, x]}]", [(1, "projects[0].lables"), (1, "projects[0].deployments")]),
        ("shard: {total: x, index: 3}", [(1, "shard.total")]),
        ("shard: {total: 2, index: x}", [(1, "shard.index")]),
    ],
)
def test_an_invalid_value_is_one_problem(text: str, expected: list[tuple[int, str]], key: None, here: Path) -> None:
    assert listed(text, here) == expected


def test_empty_values_and_impossible_dates_come_with_all_other_problems(key: None, here: Path) -> None:
    file = here / "f.yml"
    projects = "- {name: p, deployments: , include: ['(a+']}\n- name: 2026-02-30\n"
    file.write_text(f"poll_intervall: 30s\nstale_after:\nprojects:\n{projects}")
    with pytest.raises(ConfigError) as raised:
        load({}, str(file))
    assert [(problem.line, problem.key) for problem in raised.value.problems] == [
        (1, "poll_intervall"),
        (2, "stale_after"),
        (4, "projects[0].deployments"),
        (4, "projects[0].include[0]"),
        (5, "projects[1].name"),
    ]


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


def test_what_a_file_names_is_relative_to_it(key: None, here: Path) -> None:
    folder = here / "etc"
    folder.mkdir()
    (folder / "research").write_text(SECRET)
    (folder / "web.yml").write_text("{}")
    trustme.CA().cert_pem.write_to_path(folder / "ca.pem")
    (folder / "f.yml").write_text(
        "projects: [{api_key_file: research, ca_file: ca.pem}]\nweb: {config_file: web.yml}\n"
    )
    loaded = load({}, "etc/f.yml")
    assert loaded.projects[0].key.read() == SECRET
    assert loaded.projects[0].tls is not None
    assert loaded.web.files == ("etc/web.yml",)


def test_an_option_and_a_variable_are_relative_to_where_it_is_started(
    key: None, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "etc").mkdir()
    (here / "etc" / "f.yml").write_text("{}")
    (here / "web.yml").write_text("{}")
    (here / "key").write_text(SECRET)
    monkeypatch.setenv("TOGETHER_EXPORTER_PROJECTS", '[{"api_key_file": "key"}]')
    loaded = load({"web": {"config_file": "web.yml"}}, "etc/f.yml")
    assert (loaded.web.files, loaded.projects[0].key.read()) == (("web.yml",), SECRET)


def test_equal_files_give_equal_projects(key: None, here: Path) -> None:
    trustme.CA().cert_pem.write_to_path(here / "ca.pem")
    text = (
        "projects: [{ca_file: ca.pem, include: ['a.*'], labels: {team: a}, label_rules: [{match: b, labels: {c: d}}]}]"
    )
    (here / "f.yml").write_text(text)
    first, second = load({}, "f.yml").projects, load({}, "f.yml").projects
    assert first == second
    trustme.CA().cert_pem.write_to_path(here / "ca.pem")
    assert load({}, "f.yml").projects != first


def test_the_keys_of_further_endpoints_and_labels(key: None, here: Path) -> None:
    (here / "f.yml").write_text(
        "replica_metrics: false\n"
        "projects:\n"
        "- name: a\n"
        "  queues: [q]\n"
        "  revisions: true\n"
        "  replica_metrics: true\n"
        "  labels: {Env: prod}\n"
        "  label_variables: [COST_CENTER]\n"
        "  label_rules: [{match: 'chat-.*', labels: {team: chat}}]\n"
        "  deployments: [{name: x, labels: {team: own}}, chat-1]\n"
        "- name: b\n"
    )
    first, second = load({}, "f.yml").projects
    assert (first.queues, first.revisions, first.replica_metrics) == (("q",), True, True)
    assert (second.queues, second.revisions, second.replica_metrics) == ((), False, False)
    environment = {"COST_CENTER": "42"}
    assert first.labels.of(key="x", name="x", environment=environment) == {
        "label_env": "prod",
        "label_cost_center": "42",
        "label_team": "own",
    }
    assert first.labels.of(key="chat-1", name="chat-1", environment={})["label_team"] == "chat"
    assert second.labels.of(key="z", name="z", environment=environment) == {}


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"TOGETHER_API_KEY": ""}, "TOGETHER_API_KEY: is empty; set it, or unset it"),
        ({"TOGETHER_API_KEY": f'"{SECRET}"'}, "TOGETHER_API_KEY: has quotes around its value, as docker --env-file"),
        ({"TOGETHER_API_KEY": "${KEY}"}, "TOGETHER_API_KEY: contains an unexpanded variable reference"),
        ({"TOGETHER_API_KEY": f"{SECRET}\udcff"}, "TOGETHER_API_KEY: is not UTF-8 text; set it again as UTF-8"),
        ({"TOGETHER_API_KEY": f"{SECRET} {SECRET}"}, "TOGETHER_API_KEY: contains characters not allowed in an API key"),
        ({"TOGETHER_BASE_URL": "api.together.ai"}, "TOGETHER_BASE_URL: is not a URL"),
        ({"TOGETHER_BASE_URL": "https://é..x/v1"}, "TOGETHER_BASE_URL: is not a valid URL"),
        ({"TOGETHER_BASE_URL": ""}, "TOGETHER_BASE_URL: is empty"),
        ({"HTTPS_PROXY": "socks5://p:1"}, "HTTPS_PROXY: SOCKS proxies are not supported"),
        ({"https_proxy": "http://p:99999"}, "https_proxy: has a port that is not between 1 and 65535"),
        ({"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE: /nowhere.pem cannot be read: No such file or directory"),
        ({"TOGETHER_EXPORTER_CONFIG__FILE": ""}, "TOGETHER_EXPORTER_CONFIG__FILE: is empty"),
        ({"TOGETHER_EXPORTER_CONFIG__FILE": "nope.yml"}, "nope.yml: cannot be read: No such file or directory"),
        ({"TOGETHER_EXPORTER_WEB": '{"listen_address": ":99999"}'}, "TOGETHER_EXPORTER_WEB: web.listen_address[0]: "),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "replace").decode() if isinstance(value, dict) else "",
)
def test_a_variable_is_refused_by_its_own_name(
    environ: dict[str, str], problem: str, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load({})
    assert str(caught.value).startswith(problem)
    assert SECRET not in str(caught.value)


def test_blanks_around_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", f" {SECRET}\r\n")
    monkeypatch.setenv("TOGETHER_BASE_URL", "\thttp://h:1/v1 \r")
    monkeypatch.setenv("TOGETHER_EXPORTER_LOG__LEVEL", "debug\r")
    loaded = load({})
    assert (loaded.projects[0].base_url, loaded.projects[0].key.read()) == ("http://h:1/v1", SECRET)
    assert loaded.settings.log.level == "debug"


@pytest.mark.parametrize("no_proxy", ["10.0.0.0/8,fd00::/8", "::1/128", "[::1]", "*.svc,.cluster.local,172.16.0.0/12"])
def test_a_no_proxy_of_todays_networks_is_understood(no_proxy: str, key: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    (project,) = load({}).projects
    assert project.proxy is not None
    assert project.proxy.get_secret_value() == "http://proxy:3128"
    assert "3128" not in repr(project)


def test_a_reload_of_6000_names_takes_little_time(key: None, here: Path) -> None:
    (here / "f.yml").write_text("projects:\n- deployments:\n" + "".join(f"  - name-{n}\n" for n in range(6000)))
    began = time.process_time()
    assert len(load({}, "f.yml").projects[0].deployments or ()) == 6000
    assert time.process_time() - began < 2
