"""Headless Chromium."""

from __future__ import annotations

import shutil
from typing import Any, Self

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

WIDE = (1400, 900)
PHONE_WIDTH = 500  # pixels; narrower windows emulate a phone
# Containers: no sandbox for root, no GPU, little shared memory.
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb")


class Window:
    """Each opened page has a clean state."""

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
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < PHONE_WIDTH}
        self._devtools("Emulation.setDeviceMetricsOverride", **screen)
        self._devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._devtools("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.complaints()  # discard messages of earlier pages
        self.driver.get(url)

    def _devtools(self, command: str, **parameters: object) -> None:
        self.driver.execute_cdp_cmd(command, parameters)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """Messages of the console: script errors and policy violations."""
        return [str(line["message"]) for line in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
