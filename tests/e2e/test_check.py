"""`check` as a person and as a script use it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.simulator.scenario import DeploymentScenario, Scenario, load
from tests.canaries import API_KEY
from tests.conftest import ROOT, SimulatorServer
from tests.e2e.conftest import run
from tests.e2e.faulty_api import FaultyApi, http


def written(folder: Path, text: str) -> str:
    (folder / "c.yml").write_text(text)
    return f"--config.file={folder / 'c.yml'}"


def test_it_says_what_the_configuration_is_and_what_it_costs(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(API_KEY)
    key.chmod(0o600)
    file = written(
        tmp_path,
        f"projects:\n- {{name: p, api_key_file: {key}, deployments: [a, {{name: b, poll_interval: 1m}}]}}\n"
        f"- {{name: q, api_key_file: {key}, include: ['prod-.*'], queue: true}}\nweb: {{listen_address: ':1'}}\n",
    )
    done = run("check", file)
    queues = "2 requests/min plus one per queue"
    begin = f"https://api.together.ai/v1, API key from the file {key}"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"configuration: {tmp_path / 'c.yml'}",
        "listening on :1 (http), metrics at /metrics",
        f"project p: {begin}, deployments: 2 by name, fetch: each, every 30s, 3 requests/min",
        f"project q: {begin}, deployments: all, include prod-.*, fetch: list, every 30s, {queues}",
    ]


def test_a_key_alone_is_a_configuration() -> None:
    done = run("check", TOGETHER_API_KEY=API_KEY)
    assert done.stdout.startswith("configuration: none (environment only)\n")
    assert "key from the variable TOGETHER_API_KEY" in done.stdout
    assert "2 requests/min" in done.stdout


def test_all_problems_at_once_each_with_file_line_key_and_hint(tmp_path: Path) -> None:
    text = "pol_interval: 30s\npoll_timeout: 10\nprojects:\n  - name: p\n    deploymnts: [a]\n    api_key_env: NOPE\n"
    done = run("check", written(tmp_path, text))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f'{tmp_path / "c.yml"}:1: pol_interval: unknown key; did you mean "poll_interval"?',
        f'{tmp_path / "c.yml"}:2: poll_timeout: "10" has no unit; write 10s',
        f'{tmp_path / "c.yml"}:5: projects[0].deploymnts: unknown key; did you mean "deployments"?',
        f"{tmp_path / 'c.yml'}:6: projects[0].api_key_env: NOPE is not set; set it to the project's API key",
    ]
    output = json.loads(run("check", written(tmp_path, text), "--output=json").stdout)
    assert output["ok"] is False
    assert output["problems"][2] == {
        "source": str(tmp_path / "c.yml"),
        "key": "projects[0].deploymnts",
        "message": 'unknown key; did you mean "deployments"?',
        "line": 5,
    }


def test_more_polls_than_the_rate_limit_allows_are_warned_about(tmp_path: Path) -> None:
    text = "projects: [{api_key: k, poll_interval: 100ms}, {name: q, api_key: k, poll_interval: 200ms}]"
    file = written(tmp_path, text)
    (tmp_path / "c.yml").chmod(0o600)
    warning = "project default: 600 requests/min exceed max_requests_per_second (300 requests/min)"
    done = run("check", file)
    assert (done.returncode, done.stderr) == (0, f"warning: {warning}; raise it or poll_interval\n")


def test_an_open_key_file_is_warned_about(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(API_KEY)
    key.chmod(0o644)
    done = run("check", written(tmp_path, f"projects: [{{api_key_file: {key}}}]"))
    assert (done.returncode, done.stderr.count("chmod o-r")) == (0, 1)


def test_poll_shows_what_would_be_exported(steady: SimulatorServer) -> None:
    environment = {"TOGETHER_API_KEY": API_KEY, "TOGETHER_BASE_URL": steady.url}
    done = run("check", "--poll", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    *_, empty, header, embed, chat, gateway, summary = done.stdout.splitlines()
    assert empty == ""
    assert " ".join(header.split()) == "PROJECT DEPLOYMENT STATUS READY DESIRED MIN MAX GPUS SERIES RESULT"
    assert re.fullmatch(r"default batch-embed Ready 2 2 1 4 1 x h100-40gb-mig \d+ ok", " ".join(embed.split()))
    assert chat.split()[:8] == ["default", "chat-prod", "Ready", "3", "3", "2", "6", "2"]
    assert gateway.split()[7] == "-", "it has no GPU"
    once = run("once", **environment).stdout.splitlines()
    assert (
        summary
        == f"3 of 3 deployments polled successfully; {sum(not line.startswith('#') for line in once)} series in total"
    )
    series = sum(int(line.split()[-2]) for line in (embed, chat, gateway))
    assert series == sum(not line.startswith("#") and 'deployment="' in line for line in once)


def test_the_quick_start_shows_what_is_printed(steady: SimulatorServer) -> None:
    text = (ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```text\n(configuration:.*?)```", text, re.DOTALL)
    done = run("check", "--poll", TOGETHER_API_KEY=API_KEY, TOGETHER_BASE_URL=steady.url)
    assert done.stdout.replace(steady.url, "https://api.together.ai") == shown


def test_a_wrong_name_is_told_with_the_near_ones(steady: SimulatorServer, tmp_path: Path) -> None:
    file = written(
        tmp_path, f"projects: [{{name: p, base_url: '{steady.url}', deployments: [chat-prd, zzz, gateway]}}]"
    )
    done = run("check", "--poll", file, TOGETHER_API_KEY=API_KEY)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    unknown = "not_found: Deployment not found: HTTP 404 Not Found."
    assert f"p/chat-prd: {unknown} Did you mean chat-prod?" in lines
    assert f"p/zzz: {unknown}" in lines
    assert "\nnot_found: Check the name or ID in deployments" in done.stdout
    assert "1 of 3 deployments polled successfully" in done.stdout


def test_a_wrong_key_is_told_and_not_shown(tmp_path: Path) -> None:
    with SimulatorServer(load("steady"), api_key="right") as server:
        done = run("check", "--poll", TOGETHER_API_KEY=API_KEY, TOGETHER_BASE_URL=server.url)
    assert done.returncode == 1
    assert "project default: API key rejected: HTTP 401 Unauthorized. Check that the API key is complete" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_wrong_key_of_named_deployments_is_explained_once(tmp_path: Path) -> None:
    with SimulatorServer(load("steady"), api_key="right") as server:
        file = written(tmp_path, f"projects: [{{base_url: '{server.url}', deployments: [chat-prod, gateway]}}]")
        done = run("check", "--poll", file, TOGETHER_API_KEY=API_KEY)
    assert (done.returncode, done.stdout.count("unauthorized: API key rejected")) == (1, 2)
    assert done.stdout.count("Check that the API key is complete") == 1


def test_no_network_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, "projects: [{base_url: 'http://127.0.0.1:9', poll_timeout: 500ms}]")
    done = run("check", "--poll", file, TOGETHER_API_KEY=API_KEY)
    assert done.returncode == 1
    assert "API unreachable: Connection refused. Check" in done.stdout
    assert "DNS, proxy, firewall and CA certificates" in done.stdout


def test_a_key_that_sees_nothing_is_told() -> None:
    with SimulatorServer(Scenario()) as server:
        done = run("check", "--poll", TOGETHER_API_KEY=API_KEY, TOGETHER_BASE_URL=server.url)
    warning = "project default: the API key is valid, but the project has no deployments; check that it is its key"
    assert (done.returncode, warning in done.stderr) == (0, True)


def test_one_deployment_by_name_and_by_id_is_told(steady: SimulatorServer, tmp_path: Path) -> None:
    id_ = steady.get("deployments/chat-prod").json()["id"]
    file = written(tmp_path, f"projects: [{{base_url: '{steady.url}', deployments: [chat-prod, {id_}]}}]")
    done = run("check", "--poll", file, TOGETHER_API_KEY=API_KEY)
    assert f'project default: "chat-prod" and "{id_}" are one deployment; remove one of them' in done.stderr


def test_patterns_that_match_nothing_are_told(steady: SimulatorServer, tmp_path: Path) -> None:
    file = written(tmp_path, f"gpu_hourly_cost: {{h100: 1}}\nprojects: [{{base_url: '{steady.url}', include: [chat]}}]")
    done = run("check", "--poll", file, TOGETHER_API_KEY=API_KEY)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    text = 'project default: include and exclude match no deployment, such as "chat-prod"; they match whole names'
    assert (done.returncode, warnings) == (0, [f"warning: {text}"])


def test_json_for_scripts(steady: SimulatorServer, tmp_path: Path) -> None:
    file = written(tmp_path, f"projects: [{{name: p, base_url: '{steady.url}', deployments: [chat-prd, gateway]}}]")
    done = run("check", "--poll", "--output=json", file, TOGETHER_API_KEY=API_KEY)
    output = json.loads(done.stdout)
    assert (done.returncode, output["ok"], output["projects"][0]["api_key"]) == (
        1,
        False,
        "the variable TOGETHER_API_KEY",
    )
    by_name = {each["deployment"]: each for each in output["deployments"]}
    assert (by_name["chat-prd"]["near"], by_name["chat-prd"]["error"]["reason"]) == (["chat-prod"], "not_found")
    assert (by_name["gateway"]["status"], by_name["gateway"]["ready_replicas"]) == ("Ready", 2)
    assert by_name["gateway"]["series"] > 10


def test_names_cannot_play_with_the_terminal() -> None:
    odd = "a\x1b[2Jb[red]c"
    with SimulatorServer(Scenario(deployments=(DeploymentScenario(name=odd),))) as server:
        done = run("check", "--poll", TOGETHER_API_KEY=API_KEY, TOGETHER_BASE_URL=server.url)
    assert "a�[2Jb[red]c" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_terminal_gets_colours_and_a_bar(steady: SimulatorServer) -> None:
    text = in_terminal("check", "--poll", TOGETHER_API_KEY=API_KEY, TOGETHER_BASE_URL=steady.url)
    assert "polling" in text
    assert "\x1b[32mReady" in text
    assert "chat-prod" in text


def test_no_colours_for_those_who_ask_for_none(steady: SimulatorServer) -> None:
    environment = {"TOGETHER_API_KEY": API_KEY, "TOGETHER_BASE_URL": steady.url, "NO_COLOR": "1"}
    assert "\x1b[32mReady" not in in_terminal("check", "--poll", **environment)


@pytest.mark.parametrize("status", [429, 503])
def test_what_the_api_answers_is_told_without_a_traceback(status: int, tmp_path: Path) -> None:
    with FaultyApi() as api:
        api.answers["p"] = http(b"oops", f"{status} Oops")
        file = written(tmp_path, f"projects: [{{name: p, base_url: '{api.url('p')}', poll_timeout: 500ms}}]")
        done = run("check", "--poll", file, TOGETHER_API_KEY=API_KEY)
    assert (done.returncode, f"HTTP {status}" in done.stdout, done.stderr) == (1, True, "")


def in_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes to a terminal of 160 columns."""
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm", "COLUMNS": "160", **environment}
    command = [sys.executable, "-m", "exporter", *arguments]
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:  # Linux says so at the end
                break
        assert process.wait(60) == 0
    os.close(ours)
    return text.decode()
