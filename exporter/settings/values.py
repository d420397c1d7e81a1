"""Text that cannot be meant as it stands, wherever it was written."""

from __future__ import annotations

import re

UNEXPANDED = re.compile(r"\$\{[A-Za-z_]\w*[^}]*\}|^\$\(\w+\)$|^\$[A-Za-z_]\w*$")
MIN_QUOTED = 2  # characters


def mistake(text: str) -> str | None:
    """What is wrong with a value and what to do; None where nothing is. The value may be a secret: it is not shown."""
    if len(text) >= MIN_QUOTED and text[0] == text[-1] and text[0] in "\"'":
        return "has quotes around its value, as docker --env-file keeps them; remove the quotes"
    if UNEXPANDED.search(text):
        return "holds a variable reference that nothing expanded; write the value itself"
    return None
