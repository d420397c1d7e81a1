"""Keys, passwords and the values of variables come out nowhere; conftest looks for them in whatever was put out."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest

from tests.canaries import API_KEY, PASSWORD, SECRETS, VARIABLE_VALUE, leaks, outputs
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Start, run
from tests.e2e.faulty_api import FaultyApi, http
from tests.e2e.test_daemon import listing


def test_the_search_finds_what_it_looks_for() -> None:
    assert leaks([f"a\nkey={API_KEY}\nb", "nothing"]) == [f"key={API_KEY}"]
    assert all(leaks([secret]) for secret in SECRETS)


BROKEN = {
    "key-of-no-kind": f"projects: [{{api_key: [{API_KEY}]}}]",
    "misspelt": f"projects: [{{api_kee: {API_KEY}}}]",
    "no-yaml": f"projects:\n  - api_key: {API_KEY}\n  bad",
    "unclosed": f'projects: [{{api_key: "{API_KEY}}}]',
    "tabbed": f"projects:\n\t- api_key: {API_KEY}",
    "two-kinds": f"projects: [{{api_key: {API_KEY}, api_key_env: X}}]",
    "as-project": f"projects: {API_KEY}",
    "as-file": f"projects: [{{api_key: {API_KEY}, poll_interval: {API_KEY}x}}]".replace(f"{API_KEY}x", "soon"),
    "with-spaces": f"projects: [{{api_key: '{API_KEY} {API_KEY}'}}]",
    "password-in-url": f"projects: [{{api_key: k, base_url: 'http://me:{PASSWORD}@example.com'}}]",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("command", [["serve"], ["check"], ["once"]], ids=lambda words: words[0])
def test_a_broken_configuration_quotes_no_key(text: str, command: list[str], tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(text)
    done = run(*command, f"--config.file={tmp_path / 'c.yml'}", TOGETHER_API_KEY=API_KEY)
    assert (done.returncode, leaks(outputs)) == (2, [])
    assert done.stderr


def test_a_broken_variable_quotes_no_key() -> None:
    done = run("check", TOGETHER_EXPORTER_PROJECTS=f'[{{"api_key": "{API_KEY}"', TOGETHER_API_KEY=f"{API_KEY} x")
    assert (done.returncode, leaks(outputs)) == (2, [])


def test_a_key_file_that_holds_more_than_a_key_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"KEY={API_KEY}\n{API_KEY}\n")
    (tmp_path / "c.yml").write_text(f"projects: [{{api_key_file: {tmp_path / 'key'}}}]")
    done = run("check", f"--config.file={tmp_path / 'c.yml'}")
    assert (done.returncode, "contains characters not allowed in an API key" in done.stderr, leaks(outputs)) == (
        2,
        True,
        [],
    )


@pytest.mark.parametrize("command", ["serve", "demo", "simulate", "check", "once", "metrics", "completion", ""])
def test_help_shows_no_value_from_the_environment(command: str) -> None:
    done = run(*([command] if command else []), "--help", TOGETHER_API_KEY=API_KEY)
    assert (done.returncode, leaks(outputs)) == (0, [])
    assert "usage:" in done.stdout


def test_everything_that_it_serves_and_logs(start: Start, tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: '{hashed}'}}")
    with FaultyApi() as api:
        config = f"projects: [{{name: p, base_url: '{api.url('p')}', deployments: [x]}}]\npoll_interval: 200ms\n"
        daemon = start(config, f"--web.config.file={tmp_path / 'web.yml'}", TOGETHER_API_KEY=API_KEY)
        auth = ("alice", PASSWORD)
        ready = "together_deployment_replicas_ready"
        until(lambda: ready in daemon.get("/metrics", auth=auth).text, "it is polled")
        api.answers["p"] = http(f"{API_KEY} {VARIABLE_VALUE}".encode(), "500 Oops", f"x-key: {API_KEY}\r\n")
        until(lambda: 'reason="server_error"} 1.0' in daemon.get("/metrics", auth=auth).text, "it fails")
        openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/status", "/nowhere", f"/?key={API_KEY}"):
            daemon.get(path, auth=auth, headers=openmetrics)
            daemon.get(path, auth=("alice", "wrong"))
        assert daemon.stop() == 0
        assert "msg=request" in daemon.log, "the search covers the debug level"
        assert leaks([*outputs, hashed if hashed in daemon.log else ""]) == []


def test_check_and_once_against_an_api(steady: SimulatorServer) -> None:
    environment = {"TOGETHER_API_KEY": API_KEY, "TOGETHER_BASE_URL": steady.url}
    assert run("check", "--poll", **environment).returncode == 0
    assert run("check", "--poll", "--output=json", **environment).returncode == 0
    assert run("once", "--log.level=debug", **environment).returncode == 0
    assert leaks(outputs) == []


def test_a_bug_of_ours_is_reported_without_the_answer_that_showed_it(
    steady: SimulatorServer, start: Start, tmp_path: Path
) -> None:
    """A traceback names lines of code; the values that they worked on are not in it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import exporter.state.history\n"
        "def broken(self, deployment, now):\n"
        "    raise RuntimeError('a bug')\n"
        "exporter.state.history.History.after = broken\n"
    )
    daemon = start(listing(steady), TOGETHER_API_KEY=API_KEY, PYTHONPATH=str(tmp_path))
    until(lambda: daemon.logs("unexpected exception in poll (please report)"), "it is reported")
    until(lambda: 'reason="internal_error"} 0.0' not in daemon.metrics(), "it is counted")
    assert daemon.stop() == 0
    assert "Traceback" in daemon.log
    assert leaks(outputs) == []
