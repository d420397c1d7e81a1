"""Help that an operator can work from."""

from __future__ import annotations

import re

import pytest

from exporter.cli.commands import COMMANDS
from exporter.cli.options import COMMANDS as DESCRIBED
from exporter.cli.options import SERVE_OPTIONS, parser
from exporter.settings.model import ENV_PREFIX, option_name


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        parser(COMMANDS).parse_args([*([command] if command else []), "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_every_command_runs_something() -> None:
    assert list(COMMANDS) == list(DESCRIBED)


@pytest.mark.parametrize("command", ["serve", "check"])
def test_each_option_has_its_default_and_its_variable(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(command, capsys)
    for section, name in SERVE_OPTIONS:
        match = re.search(
            rf"{re.escape(option_name((section, name)))} .*?\[\$({ENV_PREFIX}\w+)\]", text.split("configuration:")[1]
        )
        assert match, name
        assert match[1] == f"{ENV_PREFIX}{section}__{name}".upper()
        assert re.search(r"Default \S+\.|by default\.", match[0]), match[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_examples_that_are_taken(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(command, capsys)
    assert "examples:" in text
    assert f"together-exporter {command}" in text or command == "serve"


def test_options_are_grouped(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("serve", capsys)
    order = [
        text.index(f" {title}: ")
        for title in ("configuration", "web", "logging", "sharding", "examples", "environment")
    ]
    assert order == sorted(order)


def test_without_a_command_help_names_all_and_says_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("", capsys)
    assert "The default command is serve." in text
    assert all(f" {command} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_ends_with_every_exit_code(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(command, capsys)
    assert re.search(r"exit codes: 0 success 1 \w.* 2 invalid command line, .* Documentation: ", text)
