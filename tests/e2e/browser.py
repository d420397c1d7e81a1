"""Debian's Chromium, and what the page's tests do with it."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.conftest import ROOT, until
from tools.chromium import Window

AXE = ROOT / ".tools" / "axe_playwright_python" / "axe.min.js"
ARTEFACTS = ROOT / ".artefacts"
TABLET, PHONE, HUGE = (640, 700), (360, 740), (3840, 2160)


class Browser(Window):
    """Driven as a person would use it."""

    def leave(self) -> None:
        """Ends the page and forgets its complaints, such as about a daemon that has ended."""
        self.driver.get("about:blank")
        self.complaints()

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

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
        """What of the page has the focus, as text."""
        return str(self.run("const e = document.activeElement; return e.id || e.innerText || e.tagName"))

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
