"""Completion in real shells; in bash also by its own readline, which splits words at some characters."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
import shtab

from exporter.cli.commands import COMMANDS
from exporter.cli.completion import completion
from exporter.cli.options import SHELLS
from exporter.rules.groups import ALERTS

PROGRAM = "together-exporter"
ON = {name for name, alert in ALERTS.items() if alert.enabled}
TYPED = """\
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
PS1=
together-exporter() { printf '[%s]' "$@"; echo; }
"""


def test_the_shells_are_those_that_shtab_knows() -> None:
    assert set(SHELLS) <= set(shtab.SUPPORTED_SHELLS)


@pytest.mark.needs("bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("|", set(COMMANDS)),
        ("ch|", {"check"}),
        ("--web.l|", {"--web.listen-address"}),
        ("check --p|", {"--poll"}),
        ("serve --log.level |", {"debug", "info", "warn", "error"}),
        ("serve --log.level = |", {"debug", "info", "warn", "error"}),
        ("--log.level =|", {"debug", "info", "warn", "error"}),
        ("--log.level=|", {"--log.level=debug", "--log.level=info", "--log.level=warn", "--log.level=error"}),
        ("check --output |", {"text", "json"}),
        ("completion z|", {"zsh"}),
        ("serve --config.file toge|", {"together-exporter.yml"}),
        ("rules --f|", {"--for", "--format"}),
        ("rules --format =|", {"prometheus", "operator"}),
        ("rules --disable =|", ON),
        ("rules --enable =|", ALERTS.keys() - ON),
        ("rules --for = TogetherDeploymentFailed = 5m --li|", {"--list"}),
        ("rules --config = toge|", {"together-exporter.yml"}),
        ("dashboards |", {"boards"}),
        ("demo --scenario = cra|", {"crashloop"}),
        ("--web.listen-address =: 10170 --log.l|", {"--log.level"}),
        ("--web.listen-address = [ :: ] : 10170 --log.l|", {"--log.level"}),
    ],
)
def test_bash_completes(words: str, offered: set[str], tmp_path: Path) -> None:
    """`words`: as bash hands them over, the cursor at the bar."""
    (tmp_path / "together-exporter.yml").touch()
    (tmp_path / "boards").mkdir()
    line = [PROGRAM, *words.removesuffix("|").split(" ")]
    script = completion(COMMANDS, "bash") + (
        '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()'
        '\n_together_exporter "$1" "${@: -1}" "${@: -2:1}"; printf \'%s\\n\' "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", *line], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert set(done.stdout.split()) == offered


@pytest.mark.needs("bash")
@pytest.mark.parametrize("word_breaks", ["", "COMP_WORDBREAKS=${COMP_WORDBREAKS//[=:]}\n"], ids=["usual", "no = and :"])
@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        ("chec\t--pol\t", "check --poll"),
        ("--log.level=de\t", "--log.level=debug"),
        ("serve --log.format=j\t--log.level=w\t", "serve --log.format=json --log.level=warn"),
        ("--web.listen-address=:10170 --log.lev\tde\t", "--web.listen-address=:10170 --log.level debug"),
        ("--config.file=tog\t", "--config.file=together-exporter.yml"),
        ("--config.file=./a:\t", "--config.file=./a:b.yml"),
        (
            "rules --format=op\t--disable=TogetherDeploymentFla\t",
            "rules --format=operator --disable=TogetherDeploymentFlapping",
        ),
        ("demo --scenario=cr\t", "demo --scenario=crashloop"),
        ("demo --scenario=tog\t", "demo --scenario=together-exporter.yml"),
        ("dashboards boa\t", "dashboards boards/"),
    ],
    ids=lambda keys: keys.replace("\t", "<Tab>"),
)
def test_tab_in_a_terminal(keys: str, arguments: str, word_breaks: str, tmp_path: Path) -> None:
    for name in ("together-exporter.yml", "a:b.yml"):
        (tmp_path / name).touch()
    (tmp_path / "boards").mkdir()
    (tmp_path / "rc").write_text(TYPED + word_breaks + completion(COMMANDS, "bash"))
    assert pressed(f"{PROGRAM} {keys}", tmp_path) == arguments.split()


def pressed(keys: str, folder: Path) -> list[str]:
    """The arguments of the command that is run by what is typed."""
    master, slave = pty.openpty()
    env = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(folder), "INPUTRC": "/dev/null"}
    command = ["bash", "--noprofile", "--rcfile", "rc", "-i"]
    with subprocess.Popen(
        command, cwd=folder, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as shell:
        os.close(slave)
        os.write(master, f"{keys}\rexit\r".encode())
        screen = b""
        try:
            while data := os.read(master, 4096):
                screen += data
        except OSError:  # the shell has ended
            pass
        shell.wait(30)
    os.close(master)
    printed = re.findall(r"^(?:\[.*?\])+\r?$", screen.decode(), re.MULTILINE)
    assert len(printed) == 1, screen
    return re.findall(r"\[(.*?)\]", printed[0])


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
