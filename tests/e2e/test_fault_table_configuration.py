"""Configurations that cannot be applied, for whatever reason, are refused in one line, and the running one goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import until
from tests.e2e.conftest import Process, run
from tests.e2e.observed import config, news, page, polled, project
from tests.e2e.scripted_api import ScriptedApi, item, listed

LIST = "p/deployments"
SUCCESSFUL = "together_exporter_config_last_reload_successful"
URLS = {
    "empty-label-idna": "https://é..x/v1",
    "bad-punycode": "https://xn--/v1",
    "open-bracket": "https://[::1",
    "no-address-in-brackets": "https://[nope]/v1",
    "spaces-inside": "https://api exam ple/v1",
    "port-99999": "https://localhost:99999/v1",
    "port-is-a-word": "https://localhost:port/v1",
    "negative-port": "https://localhost:-1/v1",
    "no-host": "https:///v1",
    "no-scheme": "localhost/v1",
    "other-scheme": "ftp://localhost/v1",
    "control-character": "https://local\x1bhost/v1",
    "label-of-70": f"https://é{'x' * 70}.example/v1",
}
VALUES = {  # YAML that resolves to a type whose constructor refuses the text
    "month-13": "2026-13-45",
    "february-30": "2026-02-30",
    "year-0": "0000-01-01",
    "hour-25": "2026-01-01T25:00:00Z",
    "minute-61": "2026-01-01 10:61:00",
    "zone-99": "2026-01-01T10:00:00+99:99",
    "zone-24": "2026-01-01T10:00:00+24:00",
    "year-1-with-zone": "0001-01-01T00:00:00+10:00",
    "explicit-timestamp": "!!timestamp soon",
    "explicit-integer": "!!int many",
    "explicit-number": "!!float much",
    "explicit-boolean": "!!bool maybe",
    "explicit-binary": "!!binary é",
    "hexadecimal-without-digits": "0x_",
    "binary-without-digits": "0b_",
    "5000-digits": "1" * 5000,
}
PLACES = {  # where such a value stands in the file
    "setting": "poll_interval: {}\n",
    "setting-of-a-project": "projects: [{{name: p, poll_timeout: {}}}]\n",
    "map": "gpu_hourly_cost: {{h100: {}}}\n",
}


def with_url(url: str) -> str:
    return json.dumps({"projects": [{"name": "p", "base_url": url}]})


BAD = {f"url-{name}": with_url(url) for name, url in URLS.items()}
BAD |= {f"yaml-{name}": PLACES["setting"].format(value) for name, value in VALUES.items()}
BAD |= {f"yaml-{place}": PLACES[place].format("2026-02-30") for place in PLACES}
BAD |= {
    "yaml-key": "2026-13-45: 1\n",
    "yaml-anchor": "poll_interval: &a [*a]\n",
    "yaml-unknown-tag": "poll_interval: !!python/object:os.system x\n",
    "yaml-unhashable-key": "{[1]: 2}\n",
    "text-control-character": 'projects: [{name: "a\\x85b"}]\n',
    "text-lone-surrogate": 'projects: [{deployments: ["\\ud800"]}]\n',
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bad.yml"


STARTS = [
    case for case in BAD if case in {"url-empty-label-idna", "url-open-bracket", "url-port-99999", "yaml-february-30"}
]


@pytest.mark.parametrize("case", BAD)
def test_check_of_an_impossible_configuration_is_one_line_and_exit_2(case: str, file: Path) -> None:
    refused("check", case, file)


@pytest.mark.parametrize("command", ["serve", "once"])
@pytest.mark.parametrize("case", STARTS)
def test_a_start_with_an_impossible_configuration_is_one_line_and_exit_2(case: str, command: str, file: Path) -> None:
    refused(command, case, file)


def refused(command: str, case: str, file: Path) -> None:
    file.write_text(BAD[case], encoding="utf-8")
    options = ["--web.listen-address=127.0.0.1:0"] if command == "serve" else []
    done = run(command, f"--config.file={file}", *options, TOGETHER_API_KEY=API_KEY)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert str(file) in done.stderr
    if case.startswith("url-"):
        assert "base_url" in done.stderr


@pytest.mark.parametrize(
    ("case", "command"),
    [("empty-label-idna", "check"), ("open-bracket", "check"), ("port-99999", "serve"), ("spaces-inside", "once")],
)
def test_an_impossible_url_in_the_environment_is_one_line_and_exit_2(case: str, command: str) -> None:
    options = ["--web.listen-address=127.0.0.1:0"] if command == "serve" else []
    done = run(command, *options, TOGETHER_API_KEY=API_KEY, TOGETHER_BASE_URL=URLS[case])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "TOGETHER_BASE_URL" in done.stderr


@pytest.mark.parametrize("value", ["2026-13-45", "2026-02-30"])
def test_a_date_as_a_name_is_no_traceback(value: str, file: Path) -> None:
    file.write_text(f"projects: [{{name: p, deployments: [{value}]}}]\n")
    done = run("check", f"--config.file={file}", TOGETHER_API_KEY=API_KEY)
    assert done.returncode in (0, 2)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (1 if done.returncode else 0)


@dataclass
class Running:
    """A daemon with a good configuration, and the file that it reads."""

    daemon: Process
    api: ScriptedApi
    file: Path

    def good(self) -> None:
        self.file.write_text(config(project(self.api)))

    def post(self) -> httpx.Response:
        return fetch.post(f"{self.daemon.url()}/-/reload", timeout=30)

    def successful(self) -> float | None:
        found = page(self.daemon).series(SUCCESSFUL)
        return found[0][1] if found else None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ScriptedApi() as api:
        api.script[LIST] = listed(item("dep_1", "chat"))
        file = tmp_path_factory.mktemp("reload") / "exporter.yml"
        file.write_text(config(project(api)))
        options = [f"--config.file={file}", "--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"]
        daemon = Process(["serve", *options], {"TOGETHER_API_KEY": API_KEY})
        try:
            yield Running(daemon, api, file)
        finally:
            daemon.stop()


@pytest.fixture
def reloaded(running: Running) -> Running:
    """As `running`, after a reload that worked."""
    since = len(running.daemon.log)
    running.good()
    assert running.post().status_code == 200
    until(lambda: page(running.daemon).names() == {"chat"}, "it is polled")
    assert running.successful() == 1
    until(lambda: "configuration reloaded" in running.daemon.log[since:], "it is logged")
    return running


@pytest.mark.parametrize("case", BAD)
def test_a_reload_that_cannot_be_applied_is_reported_in_three_ways(case: str, reloaded: Running) -> None:
    since = len(reloaded.daemon.log)
    reloaded.file.write_text(BAD[case], encoding="utf-8")
    answer = reloaded.post()
    assert answer.status_code == 500
    assert str(reloaded.file) in answer.text
    assert reloaded.successful() == 0
    until(lambda: news(reloaded.daemon, since) != [], "it is logged")
    polled(reloaded.api)
    assert len(news(reloaded.daemon, since)) == 1, "one log line"
    assert page(reloaded.daemon).names() == {"chat"}, "the old one goes on"
    assert "Traceback" not in reloaded.daemon.log[since:]
    since = len(reloaded.daemon.log)
    reloaded.good()
    assert reloaded.post().status_code == 200
    assert reloaded.successful() == 1
    until(lambda: "configuration reloaded" in reloaded.daemon.log[since:], "it is logged")


@pytest.mark.parametrize("case", STARTS)
def test_a_reload_by_signal_that_cannot_be_applied_is_reported(case: str, reloaded: Running) -> None:
    since = len(reloaded.daemon.log)
    reloaded.file.write_text(BAD[case], encoding="utf-8")
    reloaded.daemon.popen.send_signal(signal.SIGHUP)
    until(lambda: news(reloaded.daemon, since) != [], "it is logged")
    polled(reloaded.api)
    assert reloaded.successful() == 0
    assert len(news(reloaded.daemon, since)) == 1
    assert page(reloaded.daemon).names() == {"chat"}
