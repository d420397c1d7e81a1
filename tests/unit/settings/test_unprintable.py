"""Control characters and lone surrogates in what a user names, whatever it is for and wherever it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.settings.load import load
from exporter.settings.problems import ConfigError

SECRET = "sk-very-secret"
CHARACTERS = {
    "\x00": "control character (U+0000)",
    "\t": "control character (U+0009)",
    "\n": "control character (U+000A)",
    "\r": "control character (U+000D)",
    "\x1c": "control character (U+001C)",
    "\x7f": "control character (U+007F)",
    "\x85": "control character (U+0085)",
    "\u2028": "control character (U+2028)",
    "\ud800": "lone surrogate",
}
KEYS = {  # by the key that is named: the file, with the text in its place
    "projects[0].name": {"projects": [{"name": "X"}]},
    "projects[0].deployments[0]": {"projects": [{"deployments": ["X"]}]},
    "projects[0].deployments[0].name": {"projects": [{"deployments": [{"name": "X"}]}]},
    "projects[0].deployments[0].labels.team": {"projects": [{"deployments": [{"name": "a", "labels": {"team": "X"}}]}]},
    "projects[0].queues[0]": {"projects": [{"queues": ["X"]}]},
    "projects[0].labels.team": {"projects": [{"labels": {"team": "X"}}]},
    "projects[0].labels.SHOWN": {"projects": [{"labels": {"X": "a"}}]},
    "projects[0].label_rules[0].match": {"projects": [{"label_rules": [{"match": "X", "labels": {"team": "a"}}]}]},
    "projects[0].label_rules[0].labels.team": {
        "projects": [{"label_rules": [{"match": "a", "labels": {"team": "X"}}]}]
    },
    "projects[0].label_variables[0]": {"projects": [{"label_variables": ["X"]}]},
    "projects[0].include[0]": {"projects": [{"include": ["X"]}]},
    "projects[0].exclude[0]": {"projects": [{"exclude": ["X"]}]},
    "projects[0].base_url": {"projects": [{"base_url": "https://X/v1"}]},
    "projects[0].api_key_env": {"projects": [{"api_key_env": "X"}]},
    "projects[0].api_key_file": {"projects": [{"api_key_file": "X"}]},
    "gpu_hourly_cost.SHOWN": {"gpu_hourly_cost": {"X": 1}},
    "web.listen_address": {"web": {"listen_address": "X"}},
    "web.config_file": {"web": {"config_file": "X"}},
    "SHOWN": {"X": 1},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOGETHER_API_KEY", SECRET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(options, "f.yml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_text(values: Any, text: str) -> str:
    return json.dumps(values).replace("X", json.dumps(text)[1:-1])


def shown(key: str, text: str) -> str:
    return key.replace("SHOWN", text.encode("unicode_escape", "replace").decode())


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
@pytest.mark.parametrize("key", KEYS)
def test_a_name_with_a_character_that_no_name_has_is_refused_by_its_line_and_key(
    key: str, character: str, here: Path
) -> None:
    text = f"a{character}b"
    (here / "f.yml").write_text(f"# a comment\n{with_text(KEYS[key], text)}")
    problem = refused()
    assert problem.startswith(f"f.yml:2: {shown(key, text)}: has a {CHARACTERS[character]}")
    assert problem.endswith("; remove it")


def test_all_of_them_are_named_beside_other_mistakes(here: Path) -> None:
    (here / "f.yml").write_text('projects:\n- {name: "a\\x85", queues: ["b\\r"]}\npol_interval: 1m')
    with pytest.raises(ConfigError) as caught:
        load({}, "f.yml")
    assert [str(problem).split(": ")[:2] for problem in caught.value.problems] == [
        ["f.yml:2", "projects[0].name"],
        ["f.yml:2", "projects[0].queues[0]"],
        ["f.yml:3", "pol_interval"],
    ]


def test_a_variable_and_an_option_are_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "f.yml").write_text("poll_interval: 1m")
    problem = refused(web={"telemetry_path": "/a\x85"})
    assert problem == "--web.telemetry-path: has a control character (U+0085); remove it"
    for escape, reason in (("\\u0085", "control character (U+0085)"), ("\\ud800", "lone surrogate (U+D800)")):
        monkeypatch.setenv("TOGETHER_EXPORTER_PROJECTS", f'[{{"name": "a{escape}"}}]')
        assert refused() == f"TOGETHER_EXPORTER_PROJECTS: projects[0].name: has a {reason}; remove it"


def test_an_escape_beyond_unicode_is_refused_at_its_line(here: Path) -> None:
    (here / "f.yml").write_text('poll_interval: 1m\nprojects: [{name: "\\U00110000"}]')
    assert refused() == "f.yml:2: has an escape that is not a character; remove it"


@pytest.mark.parametrize("text", ["é", "a b", "\N{NO-BREAK SPACE}", "東京", "🚀", "a\\b"])
def test_other_characters_are_text(text: str, here: Path) -> None:
    (here / "f.yml").write_text(
        json.dumps({"projects": [{"name": text, "labels": {"api_key": text}}]}, ensure_ascii=False)
    )
    assert load({}, "f.yml").projects[0].name == text


def test_an_api_key_may_end_in_a_line_feed_and_a_label_of_that_name_may_not(here: Path) -> None:
    (here / "f.yml").write_text(f"projects:\n- api_key: |\n    {SECRET}\n")
    assert load({}, "f.yml").projects[0].key.read() == SECRET
    (here / "f.yml").write_text("projects:\n- labels:\n    api_key: |\n      a\n")
    assert refused().startswith("f.yml:3: projects[0].labels.api_key: has a control character (U+000A)")
