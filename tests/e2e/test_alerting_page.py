"""Runs the commands of docs/alerting.md in order, with the files that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from tests.conftest import ROOT
from tests.e2e.monitoring import Alertmanager

PAGE = ROOT / "docs" / "alerting.md"
COMMANDS = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
FILES = dict(re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.needs("promtool")
@pytest.mark.needs("amtool")
@pytest.mark.needs("prometheus-alertmanager")
def test_every_command_works(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "home").mkdir()
    with Alertmanager(tmp_path / "home", "http://127.0.0.1:9") as alertmanager:
        for block in COMMANDS:
            for line in block.splitlines():
                done = subprocess.run(
                    ["bash", "-c", line.replace("localhost:9093", alertmanager.address)],
                    cwd=tmp_path,
                    env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        silences = subprocess.run(
            ["amtool", "silence", "query", f"--alertmanager.url=http://{alertmanager.address}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert 'deployment="chat-prod"' in silences


def test_the_file_that_is_shown_changes_the_rules() -> None:
    config = RulesConfig.model_validate(yaml.safe_load(FILES["rules-config.yml"]))
    assert build(config) != build()
