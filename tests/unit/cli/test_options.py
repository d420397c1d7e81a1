"""Help that an operator can work from, and completion in real shells."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import shtab

from exporter.cli.commands import COMMANDS
from exporter.cli.options import COMMANDS as DESCRIBED
from exporter.cli.options import SERVE_OPTIONS, SHELLS, completion, parser
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


def test_the_shells_are_those_that_shtab_knows() -> None:
    assert set(SHELLS) <= set(shtab.SUPPORTED_SHELLS)


@pytest.mark.needs("bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (
            ["together-exporter", ""],
            {"serve", "check", "once", "demo", "simulate", "metrics", "rules", "dashboards", "completion"},
        ),
        (["together-exporter", "ch"], {"check"}),
        (["together-exporter", "--web.l"], {"--web.listen-address"}),
        (["together-exporter", "check", "--p"], {"--poll"}),
        (["together-exporter", "serve", "--log.level", ""], {"debug", "info", "warn", "error"}),
        (["together-exporter", "check", "--output", ""], {"text", "json"}),
        (["together-exporter", "completion", "z"], {"zsh"}),
        (["together-exporter", "serve", "--config.file", "toge"], {"together-exporter.yml"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_completes(line: list[str], offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "together-exporter.yml").touch()
    script = completion(COMMANDS, "bash") + (
        '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()'
        '\n_shtab_together_exporter "$1" "${@: -1}" "${@: -2:1}"; printf \'%s\\n\' "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", *line], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("shell", [pytest.param(shell, marks=pytest.mark.needs(shell)) for shell in ("zsh", "fish")])
def test_other_shells_can_read_their_script(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text(completion(COMMANDS, shell))
    done = subprocess.run(
        [shell, "-n", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert (done.returncode, done.stderr) == (0, "")
