"""Generated files of docs/."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from exporter.api.errors import ERRORS
from exporter.metrics.reference import reference
from exporter.self_metrics import described
from exporter.settings.durations import show
from exporter.settings.model import ENV_PREFIX, SECTIONS
from exporter.status.model import STATUS
from tools import series

DOCS = Path(__file__).parents[1] / "docs"
LISTS = frozenset({"projects", "deployments", "label_rules"})  # sections that are lists
KINDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false", "object": "map"}


def files() -> dict[Path, str]:
    """Path to content."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **STATUS.json_schema(mode="serialization")}
    made = {
        "metrics": reference(described()),
        "scaling": series.table(),
        "configuration": "\n".join(_settings()) + "\n",
        "status-api": "\n".join(_fields(schema)) + "\n",
        "troubleshooting": "\n".join(_errors()) + "\n",
    }
    pages = {DOCS / f"{name}.md": table for name, table in made.items()}
    return {
        **{page: placed(page, page.stem, table) for page, table in pages.items()},
        DOCS / "status.schema.json": json.dumps(schema, indent=2) + "\n",
    }


def placed(page: Path, name: str, table: str) -> str:
    """Replaces the table between the comments of that name."""
    begin, end = f"<!-- made from the code: {name} -->\n", f"<!-- end: {name} -->"
    text = page.read_text(encoding="utf-8")
    return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)


def _errors() -> Iterator[str]:
    yield "| `reason` | meaning | what to do |"
    yield "|---|---|---|"
    for error in ERRORS:
        yield f"| `{error.reason}` | {error.summary}. | {error.hint} |"


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    """Sections of a schema, then of its parts."""
    for name, part in {"The answer": schema, **schema["$defs"]}.items():
        yield f"### {name}"
        yield ""
        yield "| field | type | meaning |"
        yield "|---|---|---|"
        for field, shape in part["properties"].items():
            yield f"| `{field}` | {_shape(shape)} | {shape['description']} |"
        yield ""


def _shape(shape: dict[str, Any]) -> str:
    """Readable type of a field."""
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(_shape(each) for each in shape["anyOf"]))
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in shape:
        return ", ".join(f"`{value}`" for value in shape["enum"])
    if shape["type"] == "array":
        return f"list of {_shape(shape['items'])}"
    return "time" if shape.get("format") == "date-time" else {"integer": "number"}.get(shape["type"], shape["type"])


def _settings() -> Iterator[str]:
    yield "| key | type | default | variable | meaning |"
    yield "|---|---|---|---|---|"
    for path, model in SECTIONS.items():
        prefix = "".join(f"{step}[]." if step in LISTS else f"{step}." for step in path)
        shapes = _shapes(model)
        for name, field in model.model_fields.items():
            if field.description:
                kind, default = _kind(shapes[name]), _default(name, field.default)
                variable = "" if "[]" in prefix else f"`{ENV_PREFIX}{'__'.join((*path, name)).upper()}`"
                yield f"| `{prefix}{name}` | {kind} | {default} | {variable} | {field.description} |"


def _shapes(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """JSON schema by key of a section."""
    schema = model.model_json_schema()
    whole = schema["anyOf"][1] if "anyOf" in schema else schema  # a deployment may be just a name
    properties: dict[str, dict[str, Any]] = whole["properties"]
    return properties


def _kind(shape: dict[str, Any]) -> str:
    """Readable description of the values."""
    if "anyOf" in shape:
        return " or ".join(_kind(each) for each in shape["anyOf"] if each.get("type") != "null")
    if "enum" in shape:
        return " or ".join(f"`{value}`" for value in shape["enum"])
    if shape.get("type") == "array":
        return "list" if "$ref" in shape["items"] else f"list of {_kind(shape['items'])}s".replace("texts", "text")
    if shape.get("format") == "regex":
        return "regular expression"
    return "duration" if "pattern" in shape else KINDS[shape["type"]]


def _default(name: str, value: Any) -> str:
    if isinstance(value, float) and name.endswith(("interval", "timeout", "after")):
        return f"`{show(value)}`"
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return ", ".join(f"`{each}`" for each in value)
    if value is None or value == "" or isinstance(value, tuple | BaseModel) or repr(value) == "PydanticUndefined":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
