"""The status page in a real browser: what it shows, how it is used, and what it looks like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.common.exceptions import StaleElementReferenceException

from exporter.simulator.scenario import DeploymentScenario, Fault, Scenario, Step, load
from tests import fetch
from tests.conftest import SimulatorServer, until
from tests.e2e.browser import ENTER, HUGE, PHONE, SPACE, TAB, TABLET, Browser
from tests.e2e.conftest import Start
from tests.e2e.page_scenario import BROKEN, SCENARIO, TROUBLE, fleet_in_trouble, front, serving
from tools.chromium import WIDE

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.needs("chromedriver")]
axe = pytest.mark.needs(".tools/axe_playwright_python/axe.min.js")

SIZES = {"wide": WIDE, "tablet": TABLET, "phone": PHONE, "huge": HUGE}
LEVELS = {"chat-000": "critical", "embed-001": "warning", "rerank-002": "warning", "whisper-003": "busy"}
INJECTED = "<script>window.injected = true</script>"
MAX_ROW = 36  # px of a healthy deployment
# The healthy rows that are in sight as a whole, with their heights.
HEALTHY = """
return [...document.querySelectorAll("tbody tr.ok")].map((row) => row.getBoundingClientRect())
  .filter((box) => box.bottom <= innerHeight).map((box) => box.height);
"""
OVERFLOWS = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture
def api() -> Iterator[SimulatorServer]:
    with SimulatorServer(SCENARIO) as server:
        yield server


def test_the_fleet_is_shown_with_everything_and_without_a_complaint(browser: Browser, start: Start) -> None:
    with SimulatorServer(load("fleet")) as server:
        server.now = 200
        daemon = serving(start, server)
        browser.open(daemon.url())
        browser.keep("fleet-light")
        status = fetch.get(f"{daemon.url()}/api/v1/status").json()
        assert sorted(browser.names()) == sorted(server.simulator.fleet.deployments)
        assert browser.names() == [each["deployment"] for each in status["deployments"]]
        text = browser.text()
        for each in status["deployments"]:
            assert each["status"] in text
            assert f"{each['ready_replicas']}/{each['desired_replicas']}" in text
        assert "8 deployments" in text
        assert browser.complaints() == []
        assert browser.run("return performance.getEntriesByType('resource').length") == 0, "one request is all"


def test_healthy_deployments_take_a_line_each_below_those_in_trouble(browser: Browser, start: Start) -> None:
    with fleet_in_trouble(40) as server:
        daemon = serving(start, server)
        rows = {}
        for height in (900, 700):
            browser.open(daemon.url(), (1400, height))
            rows[height] = browser.run(HEALTHY)
            browser.keep(f"dense-{height}")
        assert browser.names()[:4] == list(TROUBLE)
        found = {name: browser.one(f"tr[data-key='p/{name}']").get_attribute("class") for name in TROUBLE}
        assert found == LEVELS
        assert len(browser.all("tbody details[open]")) == 3
        assert max(rows[900]) <= MAX_ROW
        assert len(rows[900]) >= 15
        assert len(rows[700]) >= 10


def test_from_trouble_to_the_logs_and_the_runbook(browser: Browser, api: SimulatorServer, start: Start) -> None:
    api.now = BROKEN
    browser.open(serving(start, api).url())
    assert browser.names() == ["crashes", "rests", "well"]
    assert browser.driver.title == "1 critical – together-exporter"
    first = browser.one("tbody tr").text
    assert "1 replica is crash looping (CrashLoopBackOff). Check the logs of the replica. Runbook" in first
    command = browser.one("tr[data-key='p/crashes'] code").get_attribute("textContent")
    (replica,) = [r for r in api.simulator.fleet.deployments["crashes"].replicas.values() if not r.is_ready]
    id_ = api.simulator.fleet.deployments["crashes"].id
    url = f"{api.url}/v1/deployments/{id_}/logs?replica_id={replica.name}"
    assert command == f"curl -H \"Authorization: Bearer $TOGETHER_API_KEY\" '{url}'"
    assert browser.one(".findings a").get_attribute("href").endswith("TogetherDeploymentFailed.md")  # type: ignore[union-attr]
    assert not [a for a in browser.all("a") if "/v1/deployments" in str(a.get_attribute("href"))], "needs a key"


@pytest.mark.parametrize("has_clipboard", [True, False], ids=["HTTPS", "HTTP"])
def test_the_command_is_copied(has_clipboard: bool, browser: Browser, api: SimulatorServer, start: Start) -> None:
    api.now = BROKEN
    browser.open(serving(start, api).url())
    browser.one("#auto").click()
    if not has_clipboard:
        browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    browser.one(".copy").click()
    until(lambda: browser.one(".copy").text == "Copied", "it is copied")
    browser.one("#filter").click()
    browser.run("document.execCommand('selectAll')")
    browser.paste()
    assert str(browser.one("#filter").get_attribute("value")).startswith("curl -H")


def test_filters_are_exact_and_in_the_address(browser: Browser, api: SimulatorServer, start: Start) -> None:
    api.now = BROKEN
    url = serving(start, api).url()
    browser.open(url)
    browser.one(".levels .ok").click()
    until(lambda: browser.names() == ["rests", "well"], "those that are ok")
    assert browser.driver.current_url == f"{url}/?level=ok"
    browser.one("#find [name=status] option[value=ScaledToZero]").click()
    until(lambda: browser.names() == ["rests"], "and scaled to zero")
    browser.shows("1 of 3 deployments matches")
    assert browser.driver.current_url == f"{url}/?status=ScaledToZero&level=ok"
    browser.driver.back()
    until(lambda: browser.names() == ["rests", "well"], "the way back")
    until(lambda: browser.one("#find [name=status]").get_attribute("value") == "", "the form follows")
    browser.driver.find_element("link text", "Show all").click()
    until(lambda: len(browser.names()) == 3, "all are back")
    browser.one("#filter").send_keys("h200")
    until(lambda: browser.names() == ["crashes"], "only one is left")
    browser.driver.refresh()
    assert browser.names() == ["crashes"]
    assert browser.one("#filter").get_attribute("value") == "h200"


def test_the_order_is_in_the_address_and_can_be_turned_around(
    browser: Browser, api: SimulatorServer, start: Start
) -> None:
    url = serving(start, api).url()
    browser.open(url)
    browser.driver.find_element("link text", "GPUs").click()
    until(lambda: browser.names() == ["well", "crashes", "rests"], "those with most GPUs come first")
    assert browser.one("th[aria-sort]").get_attribute("aria-sort") == "descending"
    assert browser.focused().startswith("GPUs")
    browser.press(ENTER)
    until(lambda: browser.names() == ["rests", "crashes", "well"], "those with fewest come first")
    assert browser.driver.current_url == f"{url}/?sort=-gpus"


def test_one_deployment_has_a_page_of_its_own(browser: Browser, api: SimulatorServer, start: Start) -> None:
    url = serving(start, api).url()
    browser.open(url)
    browser.driver.find_element("link text", "well").click()
    until(lambda: browser.names() == ["well"], "it is alone")
    assert browser.driver.current_url == f"{url}/?project=p&deployment=well"
    assert all(name in browser.text() for name in api.simulator.fleet.deployments["well"].replicas)
    browser.keep("alone")


def texts(browser: Browser, selector: str) -> list[str]:
    """Empty while the next page replaces this one."""
    try:
        return [each.text for each in browser.all(selector)]
    except StaleElementReferenceException:
        return []


def test_without_scripts_it_works_as_it_is(browser: Browser, api: SimulatorServer, start: Start) -> None:
    api.now = BROKEN
    browser.open(serving(start, api).url(), scripts=False)
    assert "Status is Failed." in browser.one("tbody").text
    assert not browser.one(".auto").is_displayed()
    assert not browser.one(".copy").is_displayed()
    browser.one("#filter").send_keys("rests")
    browser.one("#find button").click()
    until(lambda: texts(browser, "tbody th") == ["rests"], "it is filtered")
    browser.driver.find_element("link text", "Deployment").click()
    until(lambda: "sort=name" in browser.driver.current_url, "it is sorted")
    assert "filter=rests" in browser.driver.current_url
    browser.driver.find_element("link text", "Show all").click()
    until(lambda: len(browser.all("tbody th")) == 3, "all are back")
    browser.one(".levels .critical").click()
    until(lambda: texts(browser, "tbody th") == ["crashes"], "exactly")
    folded = browser.one("tr[data-key='p/crashes'] summary")
    folded.click()
    assert browser.one("tr[data-key='p/crashes'] details").get_attribute("open") is None


@pytest.mark.parametrize("prefix", ["", "/exporter"], ids=["root", "route prefix"])
def test_every_link_works_below_a_path_and_behind_a_proxy_that_strips_one(
    prefix: str, browser: Browser, api: SimulatorServer, start: Start
) -> None:
    options = (f"--web.route-prefix={prefix}",) if prefix else ()
    daemon = serving(start, api, *options, path=prefix)
    with front(f"{daemon.url()}{prefix}", "/tools/together") as proxy:
        for base in (f"{daemon.url()}{prefix}/", proxy.url):
            browser.open(base)
            links = {str(a.get_attribute("href")).partition("#")[0] for a in browser.all("a")}
            own = {link for link in links if link.startswith("http://127.0.0.1")}
            assert len(own) > 10
            assert {link: fetch.get(link).status_code for link in own} == dict.fromkeys(own, 200)
            browser.one(".levels .ok").click()
            until(lambda b=base: browser.driver.current_url == f"{b}?level=ok", "links stay below it")  # type: ignore[misc]
            api.simulator.fleet.deployments["well"].apply(Step(at=0, fail=True))
            browser.soon_shows("well", absent=True)
            api.simulator.fleet.deployments["well"].apply(Step(at=0, fail=False))
            browser.soon_shows("well")


def test_markup_from_the_api_is_shown_as_text(browser: Browser, start: Start) -> None:
    scenario = Scenario(
        deployments=(DeploymentScenario(name=INJECTED, image="<img src=x onerror='window.injected=1'>"),)
    )
    with SimulatorServer(scenario) as server:
        browser.open(serving(start, server).url())
        assert browser.names() == [INJECTED]
        browser.one("tbody summary").click()
        browser.one("#filter").send_keys(INJECTED[:8])
        browser.shows("1 of 1 deployment matches")
        assert browser.names() == [INJECTED]
        assert browser.run("return window.injected === undefined")
        assert browser.complaints() == []
        browser.keep("injected")


def test_what_is_put_in_is_refused_by_the_policy(browser: Browser, api: SimulatorServer, start: Start) -> None:
    """If escaping failed one day, the policy would still stand."""
    browser.open(serving(start, api).url())
    browser.run("const s = document.createElement('script'); s.text = 'window.injected = 1'; document.body.append(s)")
    assert browser.run("return window.injected === undefined")
    assert any("Content Security Policy" in line for line in browser.complaints())


def test_the_exact_time_is_shown_on_hover_in_both_zones(browser: Browser, api: SimulatorServer, start: Start) -> None:
    browser.open(serving(start, api).url())
    time = browser.one("tbody td.poll time")
    assert str(time.get_attribute("title")).endswith(" UTC")
    browser.run("arguments[0].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))", time)
    first, second = str(time.get_attribute("title")).split("\n")
    assert first.endswith(" UTC")
    assert second


def test_light_and_dark_follow_the_system(browser: Browser, api: SimulatorServer, start: Start) -> None:
    url = serving(start, api).url()
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
    scenario = Scenario(deployments=(*SCENARIO.deployments, more))
    with SimulatorServer(scenario) as server:
        server.now = BROKEN
        browser.open(serving(start, server).url(), size)
        for summary in browser.all("summary"):
            browser.run("arguments[0].parentElement.open = true", summary)
        browser.keep(f"size-{request.node.callspec.id}")
        assert not browser.run(OVERFLOWS)
        assert browser.run("return window.innerWidth") == size[0]


def test_a_table_down_to_640_px_and_cards_below_can_both_be_sorted(
    browser: Browser, api: SimulatorServer, start: Start
) -> None:
    url = serving(start, api).url()
    browser.open(url, (640, 700))
    assert browser.one("thead").is_displayed()
    assert not browser.one("#find .sort").is_displayed()
    browser.open(url, (639, 700))
    assert not browser.one("thead").is_displayed(), "the keyboard walks through no invisible links either"
    browser.one("#find [name=sort] option[value=gpus]").click()
    until(lambda: browser.names() == ["well", "crashes", "rests"], "it is sorted")


@axe
def test_axe_would_find_something(browser: Browser, api: SimulatorServer, start: Start) -> None:
    browser.open(serving(start, api).url())
    browser.run("document.documentElement.lang = ''; document.querySelector('.asof').setAttribute('role', 'nonsense')")
    assert {found.split(":")[0] for found in browser.violations()} >= {"html-has-lang", "aria-roles"}


@axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, TABLET, PHONE], ids=["wide", "tablet", "phone"])
def test_axe_finds_nothing(
    size: tuple[int, int], scheme: str, browser: Browser, api: SimulatorServer, start: Start
) -> None:
    api.now = BROKEN
    api.simulator.fleet.deployments["well"].apply(Step(at=0, rollout="new"))
    daemon = serving(start, api)
    for path in ("/", "/?filter=crashes&level=critical", "/?filter=nothing&sort=name", "/?project=p&deployment=well"):
        browser.open(f"{daemon.url()}{path}", size, scheme)
        for summary in browser.all("summary"):
            browser.run("arguments[0].parentElement.open = true", summary)
        assert browser.violations() == [], path
    api.simulator.faults.append(Fault(at=0, lasts=1e9, status=401))
    browser.open(daemon.url(), size, scheme)
    browser.soon_shows("API key rejected")
    daemon.stop()
    browser.soon_shows("the exporter does not answer")
    assert browser.violations() == []


def test_a_keyboard_is_enough(browser: Browser, api: SimulatorServer, start: Start) -> None:
    browser.open(serving(start, api).url())
    browser.press(TAB)
    assert browser.focused() == "Skip to the deployments"
    browser.press(ENTER)
    assert browser.focused() == "deployments"
    browser.press(TAB)
    assert browser.focused() == "filter"
    browser.press("w", "e", "l", "l", ENTER)
    until(lambda: browser.names() == ["well"], "it is filtered")
    order = []
    while browser.focused() != "Details of well":
        browser.press(TAB)
        order.append(browser.focused())
        assert len(order) < 25, order
    assert order.index("auto") < order.index("Show all") < order.index("Deployment") < order.index("well")
    browser.press(SPACE)
    assert browser.one("tbody details").get_attribute("open")


def test_a_screen_reader_finds_its_way(browser: Browser, api: SimulatorServer, start: Start) -> None:
    for size in (WIDE, PHONE):
        browser.open(serving(start, api).url(), size)
        tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = [node["role"]["value"] for node in tree if not node["ignored"]]
        for role in ("banner", "navigation", "main", "search", "table", "rowheader", "cell", "status"):
            assert role in roles, role
        assert roles.count("row") == (4 if size == WIDE else 3), "the table stays one where it looks like cards"
        assert browser.run("return document.documentElement.lang") == "en"
