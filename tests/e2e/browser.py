"""Debian's Chromium without a window, driven as a person would use it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Self

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.conftest import ROOT, until

AXE = ROOT / ".tools" / "axe_playwright_python" / "axe.min.js"
ARTEFACTS = ROOT / ".artefacts"
WIDE, TABLET, PHONE, HUGE = (1400, 900), (640, 700), (360, 740), (3840, 2160)
# Root in a container has no sandbox; GPU and shared memory are not there either.
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb")


class Browser:
    """One window; each page that is opened in it starts afresh."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        for option in OPTIONS:
            options.add_argument(option)
        options.binary_location = shutil.which("chromium") or ""
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def open(self, url: str, size: tuple[int, int] = WIDE, scheme: str = "light", *, scripts: bool = True) -> None:
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._devtools("Emulation.setDeviceMetricsOverride", **screen)
        self._devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._devtools("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.complaints()  # what earlier pages said is not this one's
        self.driver.get(url)

    def _devtools(self, command: str, **parameters: object) -> None:
        self.driver.execute_cdp_cmd(command, parameters)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def names(self) -> list[str]:
        """Of the deployments, in their order."""
        return [str(name) for name in self.run(NAMES)]

    def shows(self, text: str) -> None:
        """Sooner or later, by itself."""
        until(lambda: text in self.text(), f"the page says {text}")

    def look_again(self) -> None:
        """What the page does by itself after a while, and when somebody comes back to it."""
        self.run("document.dispatchEvent(new Event('visibilitychange'))")

    def soon_shows(self, text: str, *, absent: bool = False) -> None:
        """Without waiting for the page to look by itself."""

        def does() -> bool:
            self.look_again()
            return (text in self.text()) is not absent

        until(does, f"the page says {text}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def paste(self) -> None:
        self._devtools("Input.dispatchKeyEvent", type="keyDown", commands=["paste"])

    def focused(self) -> str:
        """What of the page has the focus, in words."""
        return str(self.run("const e = document.activeElement; return e.id || e.innerText || e.tagName"))

    def complaints(self) -> list[str]:
        """What the console has said: errors of scripts, and what the page's policy refused."""
        return [str(line["message"]) for line in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def violations(self) -> list[str]:
        """What axe-core finds, of WCAG 2.2 A and AA and of its best practices."""
        self.run(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(RUN_AXE)
        assert found["passes"] > 20, "axe looked at the page"
        return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]]

    def keep(self, name: str) -> Path:
        """A screenshot, as an artefact of the test run."""
        ARTEFACTS.mkdir(exist_ok=True)
        file = ARTEFACTS / f"{name}.png"
        self.driver.save_screenshot(str(file))
        return file


# Not innerText, which is empty for what is out of sight.
NAMES = "return [...document.querySelectorAll('tbody th .name')].map((e) => e.textContent)"
RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run().then((r) => done({violations: r.violations, passes: r.passes.length}),
               (e) => done({violations: [{id: String(e), nodes: [{html: ""}]}], passes: 999}));
"""
TAB, ENTER, SPACE, ESCAPE = Keys.TAB, Keys.ENTER, Keys.SPACE, Keys.ESCAPE
