"""The status page in a real browser: what it shows, does, and looks like."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from exporter.simulator.scenario import DeploymentScenario, Fault, Fleet, Scenario, Step, load
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, until
from tests.e2e.browser import ENTER, HUGE, PHONE, SPACE, TAB, Browser
from tests.e2e.conftest import Process, Start
from tests.e2e.test_daemon import listing
from tools.chromium import WIDE

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.needs("chromedriver")]
axe = pytest.mark.needs(".tools/axe_playwright_python/axe.min.js")

SIZES = {"wide": WIDE, "phone": PHONE, "huge": HUGE}
BROKEN = 25.0  # story seconds; when a replica crashes and the API says Failed
INJECTED = "<script>window.injected = true</script>"
STORY = Scenario(
    deployments=(
        DeploymentScenario(name="well", replicas=3, min_replicas=2, max_replicas=6, gpu_count=8),
        DeploymentScenario(
            name="crashes",
            replicas=2,
            gpu_type="h200-140gb",
            volume="weights",
            timeline=(Step(at=10, crash=1), Step(at=20, fail=True), Step(at=100, recover=True, fail=False)),
        ),
        DeploymentScenario(name="rests", replicas=0, min_replicas=0, gpu_type=None, gpu_count=0),
    )
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def story() -> Iterator[SimulatorServer]:
    with SimulatorServer(STORY) as server:
        yield server


def serving(start: Start, server: SimulatorServer) -> Process:
    daemon = start(listing(server), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.get("/-/ready").status_code == 200, "it is polled")
    return daemon


def test_the_fleet_is_shown_with_everything_and_without_a_complaint(browser: Browser, start: Start) -> None:
    with SimulatorServer(load("fleet")) as server:
        server.now = 200
        daemon = serving(start, server)
        browser.open(daemon.url())
        browser.keep("fleet-light")
        told = httpx.get(f"{daemon.url()}/api/v1/status").json()
        assert sorted(browser.names()) == sorted(server.simulator.fleet.deployments)
        assert browser.names() == [each["deployment"] for each in told["deployments"]]
        text = browser.text()
        for each in told["deployments"]:
            assert each["status"] in text
            assert f"{each['ready_replicas']}/{each['desired_replicas']}" in text
        assert "8 deployments" in text
        assert "up p 8 deployments; polled as one list" in " ".join(text.split())
        assert browser.one("h1").text.startswith("together-exporter")
        assert {str(link.get_attribute("href")).removeprefix(daemon.url()) for link in browser.all("nav a")} >= {
            "/metrics",
            "/-/healthy",
            "/-/ready",
            "/api/v1/status",
        }
        assert browser.complaints() == []
        assert browser.run("return performance.getEntriesByType('resource').length") == 0, "one request is all"


def test_trouble_comes_first_with_what_to_do(browser: Browser, story: SimulatorServer, start: Start) -> None:
    story.now = BROKEN
    browser.open(serving(start, story).url())
    assert browser.names() == ["crashes", "rests", "well"]
    assert browser.driver.title == "1 critical – together-exporter"
    first = browser.one("tbody tr").text
    assert "Failed" in first
    assert "1 replica crashes again and again (CrashLoopBackOff). See what its container said" in first
    assert "1 Running, 1 Waiting" in first
    browser.one("summary").click()
    assert "CrashLoopBackOff" in browser.one("details li").text, "those that are not ready come first"
    browser.keep("trouble")


def test_it_refreshes_by_itself_and_leaves_everything_else_alone(
    browser: Browser, story: SimulatorServer, start: Start
) -> None:
    browser.open(serving(start, story).url())
    browser.run("window.same = true")
    summary = browser.one("tr[data-key='p/crashes'] summary")
    summary.click()
    browser.run("arguments[0].focus()", summary)
    assert "Failed" not in browser.text()
    story.now = BROKEN
    browser.shows("The API says Failed.")  # nobody asked for it
    assert browser.run("return window.same")
    assert browser.one("tr[data-key='p/crashes'] details").get_attribute("open")
    assert browser.focused().startswith("1 Running, 1 Waiting")
    assert browser.complaints() == []


def test_it_can_be_told_not_to_refresh(browser: Browser, story: SimulatorServer, start: Start) -> None:
    browser.open(serving(start, story).url())
    browser.one("#auto").click()
    story.now = BROKEN
    browser.look_again()
    asked = "return performance.getEntriesByType('resource').length"
    assert browser.run(asked) == 0
    browser.one("#auto").click()
    browser.look_again()
    until(lambda: browser.run(asked) > 0, "it asks again")


def test_the_filter_and_the_order_are_in_the_address(browser: Browser, story: SimulatorServer, start: Start) -> None:
    url = serving(start, story).url()
    browser.open(url)
    browser.one("#filter").send_keys("h200")
    until(lambda: browser.names() == ["crashes"], "only one is left")
    browser.shows("1 of 3 match")
    assert browser.driver.current_url == f"{url}/?filter=h200"
    browser.driver.refresh()
    assert browser.names() == ["crashes"]
    assert browser.one("#filter").get_attribute("value") == "h200"
    browser.driver.find_element("link text", "Show all").click()
    until(lambda: len(browser.names()) == 3, "all are back")
    browser.driver.find_element("link text", "GPUs").click()
    until(lambda: browser.names() == ["well", "crashes", "rests"], "those with most GPUs come first")
    assert browser.one("th[aria-sort]").text.startswith("GPUs")
    assert browser.focused() == "GPUs"
    assert browser.driver.current_url == f"{url}/?sort=gpus"


def test_without_scripts_it_works_as_it_is(browser: Browser, story: SimulatorServer, start: Start) -> None:
    story.now = BROKEN
    url = serving(start, story).url()
    browser.open(url, scripts=False)
    assert "The API says Failed." in browser.one("tbody").text
    assert not browser.one(".auto").is_displayed()
    browser.one("#filter").send_keys("rests")
    browser.one("#find button").click()
    until(lambda: [row.text.split()[0] for row in browser.all("tbody tr")] == ["rests"], "it is filtered")
    browser.driver.find_element("link text", "Deployment").click()
    until(lambda: "sort=name" in browser.driver.current_url, "it is sorted")
    assert "filter=rests" in browser.driver.current_url


def test_an_outage_is_told_and_the_last_known_state_stays(browser: Browser, start: Start) -> None:
    with SimulatorServer(load("outage")) as server:
        daemon = serving(start, server)
        browser.open(daemon.url())
        assert "down" not in browser.text()
        server.now = 30
        browser.soon_shows("The API failed to answer: HTTP 503 Service Unavailable.")
        text = browser.text()
        assert "keeps polling" in text
        assert "3/3" in text
        assert browser.driver.title == "2 warning – together-exporter"
        browser.keep("outage")
        server.now = 90
        browser.soon_shows("The API failed to answer", absent=True)


def test_an_exporter_that_is_gone_is_told_and_what_was_known_stays(
    browser: Browser, story: SimulatorServer, start: Start
) -> None:
    daemon = serving(start, story)
    browser.open(daemon.url())
    assert not browser.one("#away").is_displayed()
    daemon.stop()
    browser.soon_shows("The exporter does not answer. What is shown is as of")
    assert len(browser.names()) == 3
    browser.keep("gone")


def test_markup_from_the_api_is_shown_as_text(browser: Browser, start: Start) -> None:
    scenario = Scenario(
        deployments=(DeploymentScenario(name=INJECTED, image="<img src=x onerror='window.injected=1'>"),)
    )
    with SimulatorServer(scenario) as server:
        browser.open(serving(start, server).url())
        assert browser.names() == [INJECTED]
        browser.one("summary").click()
        browser.one("#filter").send_keys(INJECTED[:8])
        browser.shows("1 of 1 match")
        assert browser.names() == [INJECTED]
        assert browser.run("return window.injected === undefined")
        assert browser.complaints() == []
        browser.keep("injected")


def test_what_is_put_in_is_refused_by_the_policy(browser: Browser, story: SimulatorServer, start: Start) -> None:
    """If escaping failed one day, the policy would still stand."""
    browser.open(serving(start, story).url())
    browser.run("const s = document.createElement('script'); s.text = 'window.injected = 1'; document.body.append(s)")
    assert browser.run("return window.injected === undefined")
    assert any("Content Security Policy" in line for line in browser.complaints())


def test_light_and_dark_follow_the_system(browser: Browser, story: SimulatorServer, start: Start) -> None:
    url = serving(start, story).url()
    colours = {}
    for scheme in ("light", "dark"):
        browser.open(url, scheme=scheme)
        colours[scheme] = browser.run("return getComputedStyle(document.body).backgroundColor")
    browser.keep("dark")
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_nothing_runs_off_the_screen(
    size: tuple[int, int], browser: Browser, start: Start, request: pytest.FixtureRequest
) -> None:
    long = "a-very-long-name-" * 8
    more = DeploymentScenario(
        name=long, image=f"registry.example/{long}:1", replicas=2, timeline=(Step(at=1, crash=1),)
    )
    scenario = Scenario(deployments=(*STORY.deployments, more))
    with SimulatorServer(scenario) as server:
        server.now = BROKEN
        browser.open(serving(start, server).url(), size)
        for summary in browser.all("summary"):
            browser.run("arguments[0].parentElement.open = true", summary)
        browser.keep(f"size-{request.node.callspec.id}")
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
        assert browser.run("return window.innerWidth") == size[0]


@axe
def test_axe_would_find_something(browser: Browser, story: SimulatorServer, start: Start) -> None:
    browser.open(serving(start, story).url())
    browser.run("document.documentElement.lang = ''; document.querySelector('label').remove()")
    browser.run("document.querySelector('.muted').setAttribute('role', 'nonsense')")
    assert {found.split(":")[0] for found in browser.violations()} >= {"html-has-lang", "aria-roles"}


@axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing(
    size: tuple[int, int], scheme: str, browser: Browser, story: SimulatorServer, start: Start
) -> None:
    story.now = BROKEN
    story.simulator.fleet.deployments["well"].apply(Step(at=0, rollout="new"))
    daemon = serving(start, story)
    for path in ("/", "/?filter=crashes", "/?filter=nothing&sort=name"):
        browser.open(f"{daemon.url()}{path}", size, scheme)
        for summary in browser.all("summary"):
            browser.run("arguments[0].parentElement.open = true", summary)
        assert browser.violations() == [], path
    story.simulator.faults.append(Fault(at=0, lasts=1e9, status=401))
    browser.open(daemon.url(), size, scheme)
    browser.soon_shows("The API rejects the key")
    daemon.stop()
    browser.soon_shows("The exporter does not answer")
    assert browser.violations() == []


def test_a_keyboard_is_enough(browser: Browser, story: SimulatorServer, start: Start) -> None:
    browser.open(serving(start, story).url())
    browser.press(TAB)
    assert browser.focused() == "Skip to the deployments"
    browser.press(ENTER)
    assert browser.focused() == "deployments"
    browser.press(TAB)
    assert browser.focused() == "filter"
    browser.press("w", "e", "l", "l", ENTER)
    until(lambda: browser.names() == ["well"], "it is filtered")
    order = []
    while browser.focused() != "3 Running":
        browser.press(TAB)
        order.append(browser.focused())
        assert len(order) < 20, order
    assert order[:4] == ["Filter", "auto", "Show all", "Deployment"]
    browser.press(SPACE)
    assert browser.one("details").get_attribute("open")


def test_a_screen_reader_finds_its_way(browser: Browser, story: SimulatorServer, start: Start) -> None:
    browser.open(serving(start, story).url(), PHONE)
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    for role in ("banner", "navigation", "main", "search", "table", "rowheader", "columnheader", "cell", "status"):
        assert role in roles, role
    assert roles.count("row") == 4, "the table stays one where it looks like cards"
    assert browser.run("return document.documentElement.lang") == "en"


def test_a_thousand_deployments(browser: Browser, start: Start) -> None:
    scenario = Scenario(fleet=Fleet(deployments=1000))
    with SimulatorServer(scenario) as server:
        server.now = 200
        browser.open(serving(start, server).url())
        until(lambda: len(browser.names()) == 1000, "all are there")
        browser.one("#filter").send_keys("chat-00")
        until(lambda: sorted(browser.names()) == ["chat-000", "chat-006"], "two are found")
        browser.keep("thousand")
