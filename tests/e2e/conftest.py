"""The real daemon as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.canaries import outputs
from tests.conftest import until

LISTENING = re.compile(r"""address(?:=|": ")127\.0\.0\.1:(\d+)""")


COMMAND = (sys.executable, "-m", "exporter")


class Process:
    """One command of ours, its log as it comes, ended by its ID."""

    def __init__(self, arguments: list[str], environment: dict[str, str], command: Sequence[str] = COMMAND) -> None:
        command = [*command, *arguments]
        env = {"PATH": os.environ["PATH"], **environment}
        self.popen = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.log = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as stdout:
            for line in stdout:
                self.log += line

    def logs(self, text: str) -> bool:
        return text in self.log

    def url(self) -> str:
        """Whether the log has the event, in either format."""
        until(lambda: bool(LISTENING.search(self.log)) or self.popen.poll() is not None, "the daemon listens")
        match = LISTENING.search(self.log)
        assert match, self.log
        return f"http://127.0.0.1:{match[1]}"

    def get(self, path: str, **more: object) -> httpx.Response:
        response = httpx.get(f"{self.url()}{path}", **more)  # type: ignore[arg-type]  # httpx's own
        outputs.append(f"{response.headers}\n{response.text}")
        return response

    def metrics(self) -> str:
        return self.get("/metrics").text

    def shows(self, line: str) -> bool:
        return line in self.metrics().splitlines()

    def stop(self) -> int:
        if self.popen.poll() is None:
            outputs.append(Path(f"/proc/{self.popen.pid}/cmdline").read_text())
            self.popen.terminate()
        code = self.popen.wait(30)
        self._reader.join()
        outputs.append(self.log)
        return code


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    command = [sys.executable, "-m", "exporter", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    outputs.extend((done.stdout, done.stderr))
    return done


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the daemon on a free port with this configuration file and environment."""
    started: list[Process] = []

    def run(config: str, *arguments: str, **environment: str) -> Process:
        file = tmp_path / "together-exporter.yml"
        file.write_text(config)
        options = [f"--config.file={file}", "--web.listen-address=127.0.0.1:0", "--log.level=debug", *arguments]
        started.append(Process(["serve", *options], environment))
        return started[-1]

    yield run
    for process in started:
        process.stop()
