"""Reads the YAML file as plain values with the line of each key. Raises ConfigError for any problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from exporter.settings.problems import ConfigError, Problem, show_key
from exporter.settings.textfile import Unreadable, read_text

KeyPath = tuple[str | int, ...]

MAX_FILE_SIZE = 8 * 2**20  # bytes; 100,000 deployments by name are 3 MiB
MAX_VALUES = 300_000  # after aliases and merge keys are expanded
MAX_DEPTH = 50  # nesting; the configuration needs 7
NO_CHARACTER = "found invalid Unicode character escape code"  # libyaml's message for a lone surrogate
YAML_TAG = "tag:yaml.org,2002:"
PLAIN_TAGS = frozenset({f"{YAML_TAG}{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp", "merge")})

# libyaml's parser is 20 times as fast. Its composer is not used: it overflows the C stack on deep nesting.
FastLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """`name`: as configured. `lines`: line of each key and list item, from 1. `invalid`: problems of single values,
    which are None in `values`."""

    name: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    invalid: dict[KeyPath, str] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int | None:
        """Returns the line of the key, or of its closest parent in the file; None if there is neither."""
        return next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None)

    def problem(self, path: KeyPath, message: str) -> Problem:
        return Problem(self.name, show_key(path), message, self.line(path))

    @property
    def problems(self) -> list[Problem]:
        return [self.problem(path, message) for path, message in self.invalid.items()]


def read(name: str, loader_class: type[Any] = FastLoader) -> ConfigFile:
    """Raises ConfigError if the file cannot be read, is not a YAML mapping, or has invalid values."""
    file = read_partially(name, loader_class)
    if file.invalid:
        raise ConfigError(file.problems)
    return file


def read_partially(name: str, loader_class: type[Any] = FastLoader) -> ConfigFile:
    """Like `read`, but returns invalid values instead of raising, so that all problems are reported at once."""
    try:
        return _parse(name, read_text(name, MAX_FILE_SIZE), loader_class)
    except Unreadable as error:
        raise ConfigError([Problem(name, "", str(error))]) from None
    except _Refused as error:
        raise ConfigError([Problem(name, show_key(error.path), error.message, error.line)]) from None


def _parse(name: str, text: str, loader_class: type[Any]) -> ConfigFile:
    loader = None
    try:
        loader = loader_class(text)
        root = _Composer(loader).document()
        return _Reader(name, loader).read(root) if root is not None else ConfigFile(name)
    except yaml.reader.ReaderError as error:
        at = text.encode()[: error.position].count(b"\n") + 1
        raise _Refused("has a control character, which YAML does not allow; remove it", at) from None
    except yaml.MarkedYAMLError as error:  # its message would quote the line, which may contain a key
        if loader_class is not yaml.SafeLoader and error.problem == NO_CHARACTER:
            return _parse(name, text, yaml.SafeLoader)  # reads it, so that the key can be named
        line = min(error.problem_mark.line, text.count("\n")) + 1 if error.problem_mark else None
        raise _Refused(f"is not valid YAML: {error.problem}; check indentation, brackets and quotes", line) from None
    except (ValueError, OverflowError):  # PyYAML's chr() of an escape such as "\U00110000"
        line = loader.line + 1 if loader is not None else None
        raise _Refused("has an escape that is not a character; remove it", line) from None
    finally:
        if loader is not None:
            loader.dispose()


class _Refused(Exception):
    def __init__(self, message: str, line: int | None, path: KeyPath = ()) -> None:
        super().__init__(message)
        self.message, self.line, self.path = message, line, path


class _Composer:
    """Builds nodes from the parser's events. If an anchor is defined twice, an alias refers to the preceding one, as in
    the YAML specification."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._anchors: dict[str, yaml.Node] = {}

    def document(self) -> yaml.Node | None:
        """Returns the root node; None if the file is empty."""
        self._loader.get_event()  # the stream's start
        if self._loader.check_event(yaml.StreamEndEvent):
            return None
        self._loader.get_event()  # the document's start
        root = self._node(self._loader.get_event(), 1)
        self._loader.get_event()  # the document's end
        if not self._loader.check_event(yaml.StreamEndEvent):
            line = self._loader.peek_event().start_mark.line + 1
            raise _Refused('has a second document; keep one, and remove the "---" between them', line)
        return root

    def _node(self, event: Any, depth: int) -> yaml.Node:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Refused(f"*{event.anchor} has no anchor &{event.anchor} above it; define it first", line)
            return self._anchors[event.anchor]
        if depth > MAX_DEPTH:
            raise _Refused(f"is nested more than {MAX_DEPTH} levels deep; check the brackets", line)
        node = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else self._collection(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if isinstance(node, yaml.SequenceNode):
            node.value.extend(self._children(yaml.SequenceEndEvent, depth))
        elif isinstance(node, yaml.MappingNode):
            children = self._children(yaml.MappingEndEvent, depth)
            node.value.extend((key, next(children)) for key in children)
        return node

    def _children(self, end: type[yaml.Event], depth: int) -> Iterator[yaml.Node]:
        while not isinstance(event := self._loader.get_event(), end):
            yield self._node(event, depth + 1)

    def _scalar(self, event: Any) -> yaml.Node:
        tag = event.tag
        if tag in {None, "!"}:
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        return yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)

    def _collection(self, event: Any) -> yaml.Node:
        kind = yaml.SequenceNode if isinstance(event, yaml.SequenceStartEvent) else yaml.MappingNode
        if event.tag not in {None, "!", f"{YAML_TAG}{'seq' if kind is yaml.SequenceNode else 'map'}"}:
            raise _Refused("has a YAML tag that is not supported; remove it", event.start_mark.line + 1)
        return kind(event.tag, [], event.start_mark, event.end_mark)


class _Reader:
    """Converts nodes to plain values. Counts every value, so that nested aliases cannot multiply without limit."""

    def __init__(self, name: str, loader: Any) -> None:
        self._loader = loader
        self._file = ConfigFile(name)
        self._count = 0

    def read(self, root: yaml.Node) -> ConfigFile:
        if not isinstance(root, yaml.MappingNode):
            raise _Refused("must be a mapping of keys and values at its top", root.start_mark.line + 1)
        self._file.values.update(self._mapping(root, ()))
        return self._file

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        line = node.start_mark.line + 1
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _Refused("expands to too many values; use fewer aliases", line, path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - for the type checker
        value, problem = self._scalar(node)
        if problem:
            self._file.invalid[path] = problem
        return value

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self._file.lines[path] = node.start_mark.line + 1
        return self._value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, (key_node, value) in self._pairs(node, path, 1).items():
            below = (*path, key)
            self._file.lines[below] = key_node.start_mark.line + 1
            values[key] = self._value(value, below)
        return values

    def _pairs(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """A mapping's own keys override those of `<<`; of several merged mappings, the first one with the key takes
        precedence."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _Refused("has a key that is not text; write it as text", line, path)
            if key_node.tag == f"{YAML_TAG}merge":
                for each in self._merged(value, path, depth):
                    merged = {**each, **merged}
            elif key in own:
                raise _Refused("is written twice; keep one", line, (*path, key))
            else:
                own[key] = key_node, value
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: KeyPath, depth: int) -> list[dict[str, tuple[yaml.Node, yaml.Node]]]:
        nodes: list[Any] = node.value if isinstance(node, yaml.SequenceNode) else [node]
        self._count += 1 + sum(len(each.value) for each in nodes)
        line = node.start_mark.line + 1
        if self._count > MAX_VALUES or depth > MAX_DEPTH:
            raise _Refused("expands to too many values; use fewer aliases", line, path)
        if not all(isinstance(each, yaml.MappingNode) for each in nodes):
            raise _Refused("<< needs a mapping, or a list of mappings; write <<: *anchor", line, path)
        return [self._pairs(each, path, depth + 1) for each in nodes]

    def _scalar(self, node: yaml.ScalarNode) -> tuple[Any, str]:
        """Returns the value, or None and its problem."""
        kind = node.tag.removeprefix(YAML_TAG)
        if node.tag not in PLAIN_TAGS:
            return None, "has a YAML tag that is not supported; put it in quotes if it is text"
        try:
            value = self._loader.construct_object(node, deep=True)
        except Exception:  # PyYAML's constructors raise whatever int(), float() and datetime() raise
            return None, f"is not a valid {kind}; put it in quotes if it is text"
        if value is None:
            return None, "is empty; give it a value, or remove it"
        if isinstance(value, str) and not _is_encodable(value):
            return None, "has a lone surrogate, which is not a character; remove it"
        return value, ""


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
