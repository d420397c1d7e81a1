from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests import fetch
from tests.conftest import until

ROOT = Path(__file__).parents[2]


@pytest.mark.needs("prometheus")
@pytest.mark.needs("prometheus-alertmanager")
def test_everything_comes_up_knows_each_other_and_goes() -> None:
    lines: list[str] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.demo_stack"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(process.stdout,))
    reader.start()
    try:
        until(lambda: "Press Ctrl-C to stop\n" in lines or process.poll() is not None, "all programs answer")
        urls = dict(re.findall(r"^ +(\w+) +(http://[0-9.:]+)", "".join(lines), re.MULTILINE))
        assert {"simulator", "exporter", "alertmanager", "prometheus"} <= set(urls)
        prometheus = urls["prometheus"]

        def result(query: str) -> list[object]:
            answer = fetch.get(f"{prometheus}/api/v1/query", params={"query": query})
            return list(answer.json()["data"]["result"])

        until(lambda: len(result("together_deployment_poll_success == 1")) > 3, "the fleet is scraped")
        until(lambda: bool(result("together:deployment_gpus_ready")), "the rules are loaded")
        until(lambda: bool(result("together_gpu_hourly_cost")), "there are prices")
        until(lambda: bool(result("together_queue_jobs")), "queues are read")
        known = fetch.get(f"{prometheus}/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
        assert [each["url"].startswith(urls["alertmanager"]) for each in known] == [True]
    finally:
        process.terminate()
        assert process.wait(60) == 0
        reader.join()
        process.stdout.close()
    for url in urls.values():
        with pytest.raises(httpx.TransportError):
            fetch.get(url)
