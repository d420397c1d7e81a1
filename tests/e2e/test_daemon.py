from __future__ import annotations

import gzip
import signal
import time
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.simulator.scenario import Fault, load
from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Process, Start, run

FAST = "poll_interval: 200ms\npoll_timeout: 5s\n"
GRACE = 5.0  # s; SIGTERM must end the daemon within it


def listing(server: SimulatorServer, more: str = "") -> str:
    return f"{FAST}projects: [{{name: p, base_url: '{server.url}', max_requests_per_second: 100{more}}}]\n"


def test_the_key_alone_exports_every_deployment(steady: SimulatorServer) -> None:
    daemon = Process(
        ["--web.listen-address=127.0.0.1:0"], {"TOGETHER_API_KEY": API_KEY, "TOGETHER_BASE_URL": steady.url}
    )
    try:
        until(lambda: fetch.get(f"{daemon.url()}/-/ready").status_code == 200, "it is ready")
        assert daemon.shows('together_deployment_replicas_ready{deployment="chat-prod",project="default"} 3.0')
        assert daemon.shows('together_project_deployments{project="default"} 3.0')
    finally:
        daemon.stop()


def test_configured_deployments_are_polled_each_by_itself(steady: SimulatorServer, start: Start) -> None:
    daemon = start(listing(steady, ", deployments: [chat-prod, nope]"), TOGETHER_API_KEY=API_KEY)
    missing = 'together_deployment_poll_error{deployment="nope",project="p",reason="not_found"} 1.0'
    until(lambda: daemon.shows(missing), "nope is not found")
    assert daemon.shows('together_deployment_poll_success{deployment="nope",project="p"} 0.0')
    until(
        lambda: daemon.shows('together_deployment_poll_success{deployment="chat-prod",project="p"} 1.0'),
        "chat-prod is up",
    )
    assert "batch-embed" not in daemon.metrics()


def test_an_outage_keeps_the_last_state_and_ends(steady: SimulatorServer, start: Start) -> None:
    daemon = start(listing(steady), TOGETHER_API_KEY=API_KEY)
    up = 'together_deployment_poll_success{deployment="chat-prod",project="p"}'
    until(lambda: daemon.shows(f"{up} 1.0"), "it is up")
    steady.simulator.faults.append(Fault(at=0, lasts=1e9, status=400))
    until(lambda: daemon.shows(f"{up} 0.0"), "it is down")
    assert daemon.shows('together_deployment_replicas_ready{deployment="chat-prod",project="p"} 3.0')
    assert daemon.shows('together_project_poll_success{project="p"} 0.0')
    steady.simulator.faults.clear()
    until(lambda: daemon.shows(f"{up} 1.0"), "it is up again")
    assert daemon.log.count("poll failed") == 1
    until(lambda: daemon.logs('msg="poll recovered"'), "the recovery is logged")
    assert daemon.log.count('msg="poll recovered"') == 1


def test_an_api_that_is_down_at_the_start_is_polled_until_it_is_up(start: Start) -> None:
    daemon = start(
        f"{FAST}projects: [{{base_url: 'http://127.0.0.1:9', poll_timeout: 200ms}}]", TOGETHER_API_KEY=API_KEY
    )
    until(lambda: daemon.shows('together_project_poll_success{project="default"} 0.0'), "it says that it is down")
    assert fetch.get(f"{daemon.url()}/-/ready").status_code == 200


def test_a_wrong_key_is_named_and_nowhere_shown(start: Start) -> None:
    with SimulatorServer(load("steady"), api_key="right") as server:
        daemon = start(listing(server), "--log.level=debug", TOGETHER_API_KEY=API_KEY)
        failures = 'together_exporter_poll_failures_total{fetch="list",project="p",reason="unauthorized"}'
        until(lambda: f"{failures} 0.0" not in daemon.metrics() and failures in daemon.metrics(), "it is refused")
        assert "reason=unauthorized" in daemon.log
        command = Path(f"/proc/{daemon.popen.pid}/cmdline").read_text()
        assert daemon.stop() == 0
        assert API_KEY not in daemon.log + command


def test_both_formats_plain_and_packed(steady: SimulatorServer, start: Start) -> None:
    url = start(listing(steady), TOGETHER_API_KEY=API_KEY).url()
    until(lambda: "together_deployment_poll_success" in fetch.get(f"{url}/metrics").text, "it is polled")
    asked = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    with fetch.stream("GET", f"{url}/metrics", headers=asked) as response:
        page = gzip.decompress(b"".join(response.iter_raw())).decode()
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert page.count("# EOF") == 1
    families = {f.name for f in text_string_to_metric_families(page)}  # type: ignore[no-untyped-call]  # no annotations
    assert {"together_deployment_status", "together_exporter_build_info", "process_open_fds"} <= families
    plain = fetch.get(f"{url}/metrics", headers={"Accept-Encoding": "identity"})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    head = fetch.head(f"{url}/metrics")
    assert (head.status_code, head.content) == (200, b"")
    one = fetch.get(f"{url}/metrics?name[]=together_deployment_poll_success&name[]=process_open_fds").text
    assert {line.split("{")[0].split(" ")[0] for line in one.splitlines() if line[0] != "#"} == {
        "together_deployment_poll_success",
        "process_open_fds",
    }


def test_what_answers_and_what_does_not(steady: SimulatorServer, start: Start) -> None:
    url = start(listing(steady), TOGETHER_API_KEY=API_KEY).url()
    assert fetch.get(f"{url}/-/healthy").status_code == 200
    assert 'href="metrics"' in fetch.get(url).text
    assert fetch.get(f"{url}/favicon.ico").status_code == 404
    assert fetch.post(f"{url}/-/reload").status_code == 403


def test_a_bad_reload_changes_nothing_and_a_good_one_does(
    steady: SimulatorServer, start: Start, tmp_path: Path
) -> None:
    daemon = start(listing(steady), "--web.enable-lifecycle", TOGETHER_API_KEY=API_KEY)
    file = tmp_path / "together-exporter.yml"
    until(lambda: "chat-prod" in daemon.metrics(), "it is polled")
    file.write_text("pol_interval: 30s")
    answer = fetch.post(f"{daemon.url()}/-/reload")
    assert (answer.status_code, 'did you mean "poll_interval"' in answer.text) == (500, True)
    assert daemon.shows("together_exporter_config_last_reload_successful 0.0")
    assert "chat-prod" in daemon.metrics()
    file.write_text(listing(steady, ", deployments: [batch-embed]"))
    daemon.popen.send_signal(signal.SIGHUP)
    until(lambda: daemon.shows("together_exporter_config_last_reload_successful 1.0"), "it is reloaded")
    until(lambda: "batch-embed" in daemon.metrics(), "the new one is polled")
    assert "chat-prod" not in daemon.metrics()


def test_a_project_that_leaves_the_configuration_leaves_no_series(
    steady: SimulatorServer, start: Start, tmp_path: Path
) -> None:
    entry = "{{name: {}, base_url: '{}', max_requests_per_second: 100}}"
    both = ", ".join(entry.format(name, steady.url) for name in ("stays", "goes"))
    daemon = start(f"{FAST}projects: [{both}]", TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows('together_project_poll_success{project="goes"} 1.0'), "both are polled")
    (tmp_path / "together-exporter.yml").write_text(f"{FAST}projects: [{entry.format('stays', steady.url)}]")
    daemon.popen.send_signal(signal.SIGHUP)
    until(lambda: daemon.logs("configuration reloaded"), "it is reloaded")
    assert 'project="goes"' not in daemon.metrics()
    assert daemon.shows('together_project_poll_success{project="stays"} 1.0')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_the_middle_of_a_poll(
    number: signal.Signals, steady: SimulatorServer, start: Start
) -> None:
    steady.simulator.faults.append(Fault(at=0, lasts=1e9, delay=3))
    daemon = start(listing(steady), TOGETHER_API_KEY=API_KEY)
    assert fetch.get(f"{daemon.url()}/-/ready").status_code == 503
    daemon.popen.send_signal(number)
    began = time.monotonic()
    assert daemon.popen.wait(30) == 0
    assert time.monotonic() - began < GRACE
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--web.listen-adress=:1"], "did you mean --web.listen-address?"),
        (["chek"], "did you mean check?"),
        (["check", "--output=jso"], "did you mean json?"),
        (["completion", "bsh"], "did you mean bash?"),
        (["demo", "--scenario=nope"], "scenario nope: No such file or directory; write a file's name or steady"),
        (["demo", "--web.listen-address=here"], '--web.listen-address: "here" has no port'),
        (["simulate", "--speed=0"], "--speed must be above 0"),
        (["simulate", "--listen-address=here"], '--listen-address: "here" has no port'),
        (["--config.file=/nowhere.yml"], "/nowhere.yml: cannot be read"),
        (["--log.level=loud"], "--log.level: must be 'debug', 'info', 'warn' or 'error'"),
        ([], "set TOGETHER_API_KEY"),
    ],
)
def test_an_unusable_start_is_one_line_and_exit_2(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_once_writes_the_exposition_and_says_whether_it_worked(steady: SimulatorServer) -> None:
    done = run("once", TOGETHER_API_KEY=API_KEY, TOGETHER_BASE_URL=steady.url)
    assert done.returncode == 0
    assert 'together_deployment_replicas_ready{deployment="chat-prod",project="default"} 3.0\n' in done.stdout
    assert "process_" not in done.stdout
    steady.simulator.faults.append(Fault(at=0, lasts=1e9, status=400))
    assert run("once", TOGETHER_API_KEY=API_KEY, TOGETHER_BASE_URL=steady.url).returncode == 1


@pytest.mark.parametrize("command", ["serve", "demo", "simulate", "check", "once", "metrics", "completion"])
def test_each_command_has_help(command: str) -> None:
    done = run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_demo_shows_values_that_move(start: Start) -> None:
    demo = Process(["demo", "--speed=60", "--poll-interval=200ms"], {})
    try:
        until(lambda: "together_deployment_replicas_ready" in demo.metrics(), "it is polled")
        first = demo.metrics()
        changed = [line for line in first.splitlines() if line.startswith("together_deployment_replicas_ready{")]
        until(lambda: any(line not in demo.metrics() for line in changed), "a value moves")
    finally:
        assert demo.stop() == 0
