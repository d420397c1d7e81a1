"""The real daemon against every fault at once: each is a project of its own, beside one that is well."""

from __future__ import annotations

import datetime
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from tests.canaries import API_KEY
from tests.conftest import until
from tests.e2e.conftest import Process
from tests.e2e.faults import FAULTS, Fault
from tests.e2e.faulty_api import FaultyApi, http
from tests.e2e.observed import Labels, Page

Samples = dict[str, dict[Labels, float]]
LONG_NAME = ".".join(["x" * 60] * 5)  # more than DNS can ask for: it fails before anything is sent


@dataclass
class Outage:
    """One daemon, and what it showed before, at the beginning of, during and after all faults."""

    daemon: Process
    before: Samples
    beginning: Samples
    during: Samples
    log: str
    after: Samples = field(default_factory=dict)
    followed: list[str] = field(default_factory=list)  # requests that reached the host of the redirect
    page: str = ""

    def shows(self, when: Samples, metric: str, project: str, **labels: str) -> float | None:
        return value(when, metric, project, **labels)


def value(page: Samples, metric: str, project: str, **labels: str) -> float | None:
    return page.get(metric, {}).get(frozenset({"project": project, "deployment": "x", **labels}.items()))


def contexts(folder: Path) -> dict[str, ssl.SSLContext]:
    """Servers' contexts: one that is well and three that are not, by the fault's name."""
    trusted, stranger = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(folder / "trusted.pem")
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificates = {
        "tls": trusted.issue_cert("localhost"),
        "tls-expired": trusted.issue_cert("localhost", not_before=past, not_after=past + datetime.timedelta(days=1)),
        "tls-wrong-host": trusted.issue_cert("elsewhere.example"),
        "tls-self-signed": stranger.issue_cert("localhost"),
    }
    made = {}
    for name, certificate in certificates.items():
        made[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(made[name])
    return made


STATIC = (
    Fault("refused", b"", "connection", "Connection refused"),
    Fault("dns", b"", "connection", "Name or service not known"),
    Fault("tls-expired", b"", "connection", "certificate has expired"),
    Fault("tls-wrong-host", b"", "connection", "Hostname mismatch"),
    Fault("tls-self-signed", b"", "connection", "unable to get local issuer"),
    Fault("tls-spoken-to-http", b"", "connection", "TLS failed: wrong version number"),
    Fault("http-spoken-to-tls", b"", "connection", "Error"),
)  # there from the start: nothing was ever known
REDIRECT = Fault("301-to-another-host", b"", "invalid_response", "redirects are not followed")
ALL = (*FAULTS, REDIRECT)


def entry(name: str, url: str, slow: bool = False) -> str:
    pace = "poll_interval: 4s, poll_timeout: 60s" if slow else "poll_interval: 1s, poll_timeout: 800ms"
    return f"  - {{name: '{name}', base_url: '{url}', deployments: [x], max_requests_per_second: 100, {pace}}}\n"


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        api, other = stack.enter_context(FaultyApi()), stack.enter_context(FaultyApi("127.0.0.2"))
        secure = {n: stack.enter_context(FaultyApi("127.0.0.1", tls)) for n, tls in contexts(folder).items()}
        urls = {name: server.url("tls", "localhost") for name, server in secure.items()}
        urls |= {
            "refused": "http://127.0.0.1:9/v1",
            "dns": f"http://{LONG_NAME}/v1",
            "tls-spoken-to-http": api.url("healthy").replace("http:", "https:"),
            "http-spoken-to-tls": secure["tls"].url("x").replace("https:", "http:"),
            "healthy": api.url("healthy"),
        }
        config = "projects:\n" + "".join(entry(name, url) for name, url in urls.items())
        config += "".join(entry(fault.id, api.url(fault.id), fault.slow) for fault in ALL)
        (folder / "exporter.yml").write_text(config)
        options = [f"--config.file={folder / 'exporter.yml'}", "--web.listen-address=127.0.0.1:0", "--log.level=debug"]
        environment = {"TOGETHER_API_KEY": API_KEY, "SSL_CERT_FILE": str(folder / "trusted.pem")}
        daemon = Process(["serve", *options], environment)
        stack.callback(daemon.stop)
        yield live_through(daemon, api, other)


def settle(daemon: Process, missing: Callable[[Samples], list[str]]) -> Samples:
    """The page once nothing is missing from it."""
    pages: list[Samples] = []

    def is_complete() -> bool:
        pages[:] = [Page(daemon.metrics()).samples]
        return not missing(pages[0])

    try:
        until(is_complete, "everything is as it must be")
    except AssertionError as error:
        raise AssertionError(f"{missing(pages[0]) if pages else None}\n{daemon.log}") from error
    return pages[0]


def live_through(daemon: Process, api: FaultyApi, other: FaultyApi) -> Outage:
    before = settle(daemon, lambda page: [f.id for f in ALL if value(page, UP, f.id) != 1])
    moved = f"location: {other.url('stolen')}/deployments/x\r\n"
    api.answers.update({fault.id: fault.answer for fault in FAULTS})
    api.answers[REDIRECT.id] = http(b"{}", "301 Moved Permanently", moved)
    beginning = settle(daemon, lambda page: [f.id for f in (*ALL, *STATIC) if not is_down(page, f)])
    polls = len(api.requests["healthy"])
    until(lambda: len(api.requests["healthy"]) > polls + 1, "the healthy one is still polled")
    during = settle(daemon, lambda page: [f.id for f in (*ALL, *STATIC) if not is_down(page, f)])
    result = Outage(
        daemon, before, beginning, during, daemon.log, followed=other.requests["stolen"], page=daemon.metrics()
    )
    api.answers.clear()
    back = [fault.id for fault in ALL if not fault.quiet]
    result.after = settle(daemon, lambda page: [name for name in back if value(page, UP, name) != 1])
    return result


UP, ERROR, READY = (
    "together_deployment_poll_success",
    "together_deployment_poll_error",
    "together_deployment_replicas_ready",
)


def is_down(page: Samples, fault: Fault) -> bool:
    return value(page, ERROR, fault.id, reason=fault.reason) == 1


def ids(fault: Fault) -> str:
    return fault.id


@pytest.mark.parametrize("fault", ALL, ids=ids)
def test_a_fault_is_named_and_the_last_known_state_stays(fault: Fault, outage: Outage) -> None:
    assert outage.shows(outage.before, READY, fault.id) == 3
    assert outage.shows(outage.during, UP, fault.id) == 0
    assert outage.shows(outage.during, ERROR, fault.id, reason=fault.reason) == 1
    assert outage.shows(outage.during, READY, fault.id) == (None if fault.reason == "not_found" else 3)
    seen = "together_deployment_last_success_timestamp_seconds"
    last_success = outage.shows(outage.during, seen, fault.id)
    assert last_success is not None
    assert last_success == outage.shows(outage.beginning, seen, fault.id), "it stands still"
    lines = re.findall(f"^.*poll failed.*project={fault.id} .*$", outage.log, re.MULTILINE)
    assert [line for line in lines if f"reason={fault.reason} " in line and fault.says in line], lines
    assert "next_in=" in lines[0]


@pytest.mark.parametrize("fault", [fault for fault in ALL if not fault.quiet], ids=ids)
def test_when_the_fault_ends_the_exporter_is_back_by_itself(fault: Fault, outage: Outage) -> None:
    assert outage.shows(outage.after, READY, fault.id) == 3
    assert not [labels for labels in outage.after.get(ERROR, {}) if ("project", fault.id) in labels]


@pytest.mark.parametrize("fault", STATIC, ids=ids)
def test_what_never_worked_is_named_and_has_no_state(fault: Fault, outage: Outage) -> None:
    assert outage.shows(outage.during, UP, fault.id) == 0
    assert outage.shows(outage.during, READY, fault.id) is None
    lines = re.findall(f"^.*poll failed.*project={fault.id} .*$", outage.log, re.MULTILINE)
    assert [line for line in lines if f"reason={fault.reason} " in line and fault.says in line], lines


@pytest.mark.parametrize("project", ["healthy", "tls"])
def test_the_others_are_unharmed(project: str, outage: Outage) -> None:
    assert outage.shows(outage.during, UP, project) == 1
    assert outage.shows(outage.during, READY, project) == 3


def test_the_key_follows_no_redirect(outage: Outage) -> None:
    assert outage.followed == []


def test_no_fault_is_a_bug_of_ours(outage: Outage) -> None:
    failures = outage.during["together_exporter_poll_failures_total"]
    assert sum(count for labels, count in failures.items() if ("reason", "internal_error") in labels) == 0
    assert "Traceback" not in outage.log
    assert outage.daemon.popen.poll() is None


@pytest.mark.needs("promtool")
def test_prometheus_reads_the_page_in_the_midst_of_it(outage: Outage) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=outage.page.encode(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
