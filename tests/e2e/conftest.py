"""The real daemon as a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from tests import fetch
from tests.canaries import outputs
from tests.conftest import until
from tests.e2e.browser import Browser
from tests.e2e.forked import ForkedProcess
from tests.examples import IS_THOROUGH

LISTENING = re.compile(r"""address(?:=|": ")127\.0\.0\.1:(\d+)""")  # in either format of the log
READ_LATER = re.compile(r"PATH|TOGETHER_\w+|SSL_CERT_\w+|(?i:\w+_proxy)")  # variables
MAY_FORK = not IS_THOROUGH and sys.platform == "linux"
COMMAND = (sys.executable, "-m", "exporter")


class Process:
    """One command of ours, its log as it comes, ended by its ID."""

    def __init__(self, arguments: list[str], environment: dict[str, str], command: Sequence[str] | None = None) -> None:
        """`command`: by which the exporter is started; if None, it may be forked."""
        env = {"PATH": os.environ["PATH"], **environment}
        self.popen = launched(arguments, env, command, is_merged=True)
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
        """Of the daemon, once it listens."""
        until(lambda: bool(LISTENING.search(self.log)) or self.popen.poll() is not None, "the daemon listens")
        match = LISTENING.search(self.log)
        assert match, self.log
        return f"http://127.0.0.1:{match[1]}"

    def get(self, path: str, **more: object) -> httpx.Response:
        response = fetch.get(f"{self.url()}{path}", **more)  # type: ignore[arg-type]  # httpx's own
        outputs.append(f"{response.headers}\n{response.text}")
        return response

    def metrics(self) -> str:
        return self.get("/metrics").text

    def shows(self, line: str) -> bool:
        return line in self.metrics().splitlines()

    def stop(self) -> int:
        if self.popen.poll() is None:
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                outputs.append(Path(f"/proc/{self.popen.pid}/cmdline").read_text())
            self.popen.terminate()
        code = self.popen.wait(30)
        self._reader.join()
        outputs.append(self.log)
        return code


def launched(
    arguments: Sequence[str], environment: Mapping[str, str], command: Sequence[str] | None = None, *, is_merged: bool
) -> subprocess.Popen[str] | ForkedProcess:
    """With pipes for the output. Forked only where that makes no difference: Python and its libraries read some other
    variables at startup."""
    if command is None and MAY_FORK and all(map(READ_LATER.fullmatch, environment)):
        return ForkedProcess(arguments, environment, is_merged=is_merged)
    errors = subprocess.STDOUT if is_merged else subprocess.PIPE
    whole = [*(command or COMMAND), *arguments]
    return subprocess.Popen(whole, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    process = launched(arguments, environment, is_merged=False)
    try:
        texts = process.communicate(timeout=60)
    finally:
        process.kill()
    outputs.extend(texts)
    assert process.returncode is not None
    return subprocess.CompletedProcess(arguments, process.returncode, *texts)


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the daemon on a free port with this configuration file and environment."""
    started: list[Process] = []

    def run(config: str, *arguments: str, **environment: str) -> Process:
        file = tmp_path / "together-exporter.yml"
        if not file.exists() or file.read_text() != config:  # one that was started before may be reading it
            file.write_text(config)
        options = [f"--config.file={file}", "--web.listen-address=127.0.0.1:0", "--log.level=debug", *arguments]
        started.append(Process(["serve", *options], environment))
        return started[-1]

    yield run
    for process in started:
        process.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """For one test: the next one does not get what this one's page complains about."""
    yield chromium
    chromium.leave()
