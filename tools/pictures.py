"""Generates docs/images: the status page, and Prometheus graphs of the recipes' queries.

Requires Chromium and Prometheus; takes three minutes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import yaml

from exporter.rules.build import build
from exporter.web import assets, page
from tools.chromium import Window
from tools.demo_stack import free_address, prometheuses, running

FOLDER = Path(__file__).parent
DOCS = FOLDER.parent / "docs"
IMAGES = DOCS / "images"
MADE = IMAGES / "made.json"
SCENARIO = FOLDER / "pictures.yml"
SPEED = 6  # simulated seconds per second
RECORDING_DURATION = 130.0  # s; range of the graphs
RULES_SPEEDUP = 180  # of the rules: an hour of GPU hours in 20 s
PAGE_AT = 55.0  # s; time of the status page's picture
PRICES = {"h100-80gb": 2.5, "h100-40gb-mig": 1.3, "h200-140gb": 3.8}
PAGE, GRAPH = (1280, 420), (1000, 1200)
TABLES = frozenset({"reasons.png", "secrets.png", "preload.png"})  # instant queries


@dataclass(frozen=True)
class Picture:
    """`query` empty: the status page."""

    name: str
    query: str = ""

    @property
    def made_of(self) -> str:
        """Digest of the sources of the picture."""
        sources = [*assets.TEMPLATES.iterdir(), Path(page.__file__)] if not self.query else []
        text = self.query.encode() + b"".join(file.read_bytes() for file in sorted(sources))
        return hashlib.sha256(text).hexdigest()


def pictures() -> Iterator[Picture]:
    yield Picture("status-page.png")
    recipes = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for query, name in re.findall(r"```promql\n(.*?)\n```\n\n!\[[^\]]+\]\(images/([\w.-]+)\)", recipes, re.DOTALL):
        yield Picture(name, query)


def main() -> int:
    IMAGES.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pictures-")))
        browser = stack.enter_context(Window())
        exporter, prometheus = started(stack, folder)
        began = time.monotonic()
        until(began + PAGE_AT)
        browser.open(f"http://{exporter}/", PAGE)
        browser.driver.save_screenshot(str(IMAGES / "status-page.png"))
        for picture in pictures():
            if picture.name in TABLES:
                take(browser, prometheus, picture, tab=1, part=".console_table")
        until(began + RECORDING_DURATION)
        for picture in pictures():
            if picture.query and picture.name not in TABLES:
                take(browser, prometheus, picture, tab=0, part=".graph_container")
    made = {picture.name: picture.made_of for picture in pictures()}
    MADE.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    for file in set(IMAGES.glob("*.png")) - {IMAGES / name for name in made}:
        file.unlink()
    return 0


def started(stack: ExitStack, folder: Path) -> tuple[str, str]:
    """The addresses of exporter and Prometheus."""
    simulator, exporter, prometheus = (free_address() for _ in range(3))
    ours = [sys.executable, "-m", "exporter"]
    command = [*ours, "simulate", f"--scenario={SCENARIO}", f"--speed={SPEED}", f"--listen-address={simulator}"]
    log = stack.enter_context((folder / "simulator.log").open("w"))
    process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own
    stack.callback(process.wait)
    stack.callback(process.terminate)
    project = {"name": "production", "base_url": f"http://{simulator}", "queue": True, "api_key": "any"}
    config = folder / "config.yml"
    config.write_text(yaml.safe_dump({"poll_interval": "1s", "projects": [project], "gpu_hourly_cost": PRICES}))
    command = [*ours, "serve", f"--config.file={config}", f"--web.listen-address={exporter}"]
    stack.enter_context(running(command, folder / "exporter.log", f"{exporter}/-/healthy"))
    command = prometheuses(folder, prometheus, exporter, "127.0.0.1:9", build(faster=RULES_SPEEDUP))
    stack.enter_context(running(command, folder / "prometheus.log", f"{prometheus}/-/ready"))
    return exporter, prometheus


def take(browser: Window, prometheus: str, picture: Picture, tab: int, part: str) -> None:
    """Prometheus' graph or table of one query."""
    parameters = {
        "g0.expr": picture.query,
        "g0.tab": tab,
        "g0.range_input": f"{RECORDING_DURATION:.0f}s",
        "g0.step_input": 1,
    }
    browser.open(f"http://{prometheus}/classic/graph?{urlencode(parameters)}", GRAPH)
    until(time.monotonic() + 2)
    browser.run("document.querySelector('.graph_container > .clearfix')?.remove()")  # its buttons
    browser.one(part).screenshot(str(IMAGES / picture.name))


def until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


if __name__ == "__main__":
    sys.exit(main())
