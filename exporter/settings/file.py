"""The YAML file as plain values, with the line of each key; a key written twice is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exporter.settings.problems import ConfigError, Problem, show_key

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """`name` as it was given; `lines`: the line of each key and list item, from 1."""

    name: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)


def read(name: str) -> ConfigFile:
    """Raises ConfigError where the file cannot be read or is not YAML with a mapping at its top."""
    try:
        text = Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise _problem(name, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _problem(name, "is not UTF-8 text") from None
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return _Reader(name, loader).read(node) if node is not None else ConfigFile(name)
    except yaml.MarkedYAMLError as error:  # its own text would quote the line, which may hold a key
        mark = error.problem_mark
        raise _problem(name, f"is not YAML: {error.problem}", mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, RecursionError):
        raise _problem(name, "is not YAML") from None
    finally:
        loader.dispose()


class _Reader:
    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._file = ConfigFile(name)

    def read(self, node: yaml.Node) -> ConfigFile:
        if not isinstance(node, yaml.MappingNode):
            raise _problem(self._file.name, "must be a mapping of keys and values at its top")
        self._file.values.update(self._mapping(node, ()))
        return self._file

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._loader.construct_object(node, deep=True)

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self._file.lines[path] = node.start_mark.line + 1
        return self._value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._loader.flatten_mapping(node)
        values: dict[str, Any] = {}
        for key_node, value in node.value:
            key = str(self._loader.construct_object(key_node, deep=True))
            below, line = (*path, key), key_node.start_mark.line + 1
            if key in values:
                raise _problem(self._file.name, "is written twice; keep one", line, show_key(below))
            self._file.lines[below] = line
            values[key] = self._value(value, below)
        return values


def _problem(name: str, message: str, line: int | None = None, key: str = "") -> ConfigError:
    return ConfigError([Problem(name, key, message, line)])
