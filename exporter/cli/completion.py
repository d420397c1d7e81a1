"""Completion scripts for shells, root by shtab."""

from __future__ import annotations

from collections.abc import Mapping

import shtab

from exporter.cli.options import CHOICES, SERVE_OPTIONS, Run, add_settings, parser
from exporter.rules.groups import ALERTS
from exporter.simulator import SHIPPED

FILES = frozenset({"config_file", "web.config_file", "config"})  # options whose value may be a file
DIRECTORIES = frozenset({"directory"})
VALUES: Mapping[str, tuple[str, ...]] = {
    **CHOICES,
    "scenario": tuple(SHIPPED),
    "disable": tuple(name for name, alert in ALERTS.items() if alert.enabled),
    "enable": tuple(name for name, alert in ALERTS.items() if not alert.enabled),
}
BASH_SCENARIOS = f"""
_together_exporter_scenarios_and_files() {{
  compgen -W '{" ".join(SHIPPED)}' -- "$1"
  compgen -f -- "$1"
}}
"""
# Readline splits words at the characters of COMP_WORDBREAKS, and replaces the last part only.
BASH_EQUALS_SIGN = r"""
# Joins what readline has split at "=" and ":", and hands --option=VALUE as two words to the function above.
_together_exporter() {
  local last=${COMP_WORDS[COMP_CWORD]} word i
  local -a joined=() words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if ((i > 1)) && [[ $word == [=:]* || ( ${COMP_WORDS[i - 1]} == [=:]* && $word != -* ) ]]; then
      joined[${#joined[@]} - 1]+=$word
    else
      joined+=("$word")
    fi
  done
  for word in "${joined[@]}"; do
    if [[ $word == --*=* ]]; then words+=("${word%%=*}" "${word#*=}"); else words+=("$word"); fi
  done
  local -a COMP_WORDS=("${words[@]}")
  local COMP_CWORD=$((${#words[@]} - 1))
  _shtab_together_exporter
  if [[ $last == --*=* ]]; then # where "=" does not split words
    COMPREPLY=("${COMPREPLY[@]/#/${last%%=*}=}")
  else
    [[ $last == [=:]* ]] && last=
    word=${words[COMP_CWORD]}
    COMPREPLY=("${COMPREPLY[@]#"${word%"$last"}"}")
  fi
}

complete -o bashdefault -F _together_exporter together-exporter
"""


def completion(commands: Mapping[str, Run], shell: str) -> str:
    """A script for the shell. Without a command the options are those of `serve`."""
    root = parser(commands)
    add_settings(root, SERVE_OPTIONS)
    for action in (action for each in (root, *root.commands.values()) for action in each.actions()):
        if action.dest in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's way
        elif action.dest in DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # as above
        elif action.dest == "scenario" and shell == "bash":
            action.complete = {shell: "_together_exporter_scenarios_and_files"}  # type: ignore[attr-defined]
        if action.dest in VALUES:
            action.choices = VALUES[action.dest]
    script = str(shtab.complete(root, shell))
    return script + BASH_SCENARIOS + BASH_EQUALS_SIGN if shell == "bash" else script
