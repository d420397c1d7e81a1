"""What docs/integrations.md has to copy is configuration of Prometheus."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
EXAMPLES = [text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "receivers:" not in text]


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.partition(":")[0])
def test_each_example_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(text)
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == PAGE.count("```yaml") - 1  # the Collector's
