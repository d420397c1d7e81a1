"""Writes what in the README is made from the code; `--check` says whether it is up to date."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from exporter.instrumentation import described
from exporter.metrics.reference import reference
from exporter.settings.durations import show
from exporter.settings.model import SECTIONS

README = Path(__file__).parents[1] / "README.md"


def main() -> int:
    old = README.read_text(encoding="utf-8")
    new = _placed(old, "metrics", reference(described()))
    new = _placed(new, "settings", "\n".join(_settings()) + "\n")
    if "--check" not in sys.argv:
        README.write_text(new, encoding="utf-8")
    elif new != old:
        sys.stderr.write("README.md is older than the code; mend: make docs\n")
        return 1
    return 0


def _placed(text: str, name: str, table: str) -> str:
    begin, end = f"<!-- made from the code: {name} -->\n", f"<!-- end: {name} -->"
    return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)


def _settings() -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for path, model in SECTIONS.items():
        prefix = "".join(f"{step}[]." if step in {"projects", "deployments"} else f"{step}." for step in path)
        for name, field in model.model_fields.items():
            if field.description:
                yield f"| `{prefix}{name}` | {_default(name, field.default)} | {field.description} |"


def _default(name: str, value: Any) -> str:
    if isinstance(value, float) and name.endswith(("interval", "timeout", "after")):
        return f"`{show(value)}`"
    if value is None or value == () or isinstance(value, tuple | BaseModel) or repr(value) == "PydanticUndefined":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.exit(main())
