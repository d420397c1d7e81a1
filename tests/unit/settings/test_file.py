"""YAML of every kind: read, or refused in one line that names its place."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.settings.file import MAX_FILE_SIZE, read
from exporter.settings.problems import ConfigError
from tests.examples import examples

BASE = "base: &base {name: a, queue: true}\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)
MERGED = {"b": {"name": "b", "queue": True}}
PARTS = [*"[]{}:,-&*!|>?%@ \n\t#'\"", "<<: ", "a", "&a ", "*a ", "!!int ", "no", "2026-13-01", "1e999", "\ud7ff"]


def values(text: str | bytes, folder: Path) -> dict[str, Any]:
    name = folder / "f.yml"
    name.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(str(name)).values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("# nothing\n", {}, id="a comment alone"),
        pytest.param("---\na: 1\n", {"a": 1}, id="a document's start"),
        pytest.param("a: 1\n...\n", {"a": 1}, id="a document's end"),
        pytest.param("\ufeffa: 1", {"a": 1}, id="byte order mark"),
        pytest.param("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}, id="an anchor twice: the nearest above"),
        pytest.param(BASE + "b: {<<: *base, name: b}", MERGED, id="merged, overridden after"),
        pytest.param(BASE + "b: {name: b, <<: *base}", MERGED, id="merged, overridden before"),
        pytest.param(
            BASE + "c: {<<: [*base, {name: z, fetch: list}]}",
            {"c": {"name": "a", "queue": True, "fetch": "list"}},
            id="of several merged the first counts",
        ),
        pytest.param("no: 1\n12:30: 2\n2026-99-99: 3", {"no": 1, "12:30": 2, "2026-99-99": 3}, id="keys are text"),
        pytest.param('a: "${X}"', {"a": "${X}"}, id="quoted text"),
        pytest.param("a: !!str 12", {"a": "12"}, id="an explicit tag"),
    ],
)
def test_valid_yaml_is_read(text: str, expected: dict[str, Any], tmp_path: Path) -> None:
    assert {key: value for key, value in values(text, tmp_path).items() if key != "base"} == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("a: 1\nb: 2026-13-45", "2: b: is not a valid timestamp; put it in quotes", id="impossible date"),
        pytest.param("a: [2026-02-30]", "1: a[0]: is not a valid timestamp", id="impossible date in a list"),
        pytest.param("a: 2026-01-01 25:61:61", "1: a: is not a valid timestamp", id="impossible time"),
        pytest.param("a: !!timestamp x", "1: a: is not a valid timestamp", id="no timestamp"),
        pytest.param("a: !!int x", "1: a: is not a valid int", id="no int"),
        pytest.param('a: !!int ""', "1: a: is not a valid int", id="empty int"),
        pytest.param("a: !!float x", "1: a: is not a valid float", id="no float"),
        pytest.param("a: !!bool x", "1: a: is not a valid bool", id="no bool"),
        pytest.param(f"a: {'9' * 5000}", "1: a: is not a valid int", id="more digits than Python takes"),
        pytest.param("a: 0b_", "1: a: is not a valid int", id="binary without digits"),
        pytest.param("a: !!binary x", "1: a: has a YAML tag", id="binary"),
        pytest.param("a: !!python/name:os.system x", "1: a: has a YAML tag", id="Python object"),
        pytest.param("a: !!set {x: }", "1: has a YAML tag", id="set"),
        pytest.param("a: =", "1: a: has a YAML tag that is not supported; put it in quotes", id="equals sign"),
        pytest.param("a:", "1: a: is empty; give it a value, or remove it", id="empty value"),
        pytest.param("a: ~", "1: a: is empty", id="null"),
        pytest.param("a:\n-\n", "2: a[0]: is empty", id="empty item"),
        pytest.param("a: 1\na: 2", "2: a: is written twice; keep one", id="twice"),
        pytest.param("a: 1\n---\nb: 2", '2: has a second document; keep one, and remove the "---"', id="two documents"),
        pytest.param("a: *x", "1: *x has no anchor &x above it", id="no anchor"),
        pytest.param("a: {<<: 1}", "1: a: << needs a mapping", id="merges no mapping"),
        pytest.param("[a]: 1", "1: has a key that is not text", id="a list as key"),
        pytest.param("- a", "1: must be a mapping of keys and values at its top", id="a list at the top"),
        pytest.param("a: [", "1: is not valid YAML: ", id="open bracket"),
        pytest.param("a: 1\n\tb: 2", "2: is not valid YAML: ", id="tab"),
        pytest.param("a: 1\nb: \x07", "2: has a control character", id="control character"),
        pytest.param("%YAML 9.0\n---\na: 1", "1: is not valid YAML: ", id="another YAML"),
        pytest.param("a: !x!y z", "1: is not valid YAML: ", id="unknown tag handle"),
        pytest.param("[" * 100_000, "1: is nested more than 50 levels deep", id="deep flow"),
        pytest.param("- " * 100_000, "1: is nested more than 50 levels deep", id="deep blocks"),
        pytest.param("a: &a [*a]", "expands to too many values", id="an alias in itself"),
        pytest.param("a: &a {<<: *a}", "expands to too many values", id="a merge of itself"),
        pytest.param(BOMB, "expands to too many values; use fewer aliases", id="aliases of aliases"),
        pytest.param(MERGE_BOMB, "expands to too many values; use fewer aliases", id="merges of merges"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_line(text: str, place: str, tmp_path: Path) -> None:
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        values(text, tmp_path)
    assert place in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/f.yml:")
    assert "\n" not in str(caught.value)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("é".encode("latin-1"), "is not UTF-8 text; save it as UTF-8", id="Latin-1"),
        pytest.param("a: 1".encode("utf-16"), "is not UTF-8 text", id="UTF-16"),
        pytest.param(b" " * (MAX_FILE_SIZE + 1), "is larger than 8192 KiB; check the path", id="huge"),
    ],
)
def test_a_file_that_is_no_configuration(content: bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=problem):
        values(content, tmp_path)


@settings(
    max_examples=examples(300),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from(PARTS)))
def test_any_text_is_read_or_refused(tmp_path: Path, parts: list[str]) -> None:
    with contextlib.suppress(ConfigError):
        values("".join(parts), tmp_path)


def test_the_loader_without_libyaml_reads_the_same(tmp_path: Path) -> None:
    text = BASE + "b: {<<: *base, name: b}\nc: [1, two, 3.5, 2026-01-01]\n"
    fast = values(text, tmp_path)
    assert read(str(tmp_path / "f.yml"), yaml.SafeLoader).values == fast


def test_6000_names_are_read_quickly(tmp_path: Path) -> None:
    text = "projects:\n- deployments:\n" + "".join(f"  - name-{n}\n" for n in range(6000))
    began = time.process_time()
    assert len(values(text, tmp_path)["projects"][0]["deployments"]) == 6000
    assert time.process_time() - began < 2
