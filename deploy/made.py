"""Files that are made from code: written, or with `--check` compared."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(files: Mapping[Path, str], what: str, mend: str) -> int:
    """`files`: path to content. `what` they are, for --help. `mend`: what writes them. Gives an exit code."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--check", action="store_true", help="only say whether the files are up to date")
    old = [file for file, text in files.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    if parser.parse_args().check:
        for file in old:
            sys.stderr.write(f"{file} is older than its source; mend: {mend}\n")
        return 1 if old else 0
    for file in old:
        file.parent.mkdir(exist_ok=True)
        file.write_text(files[file], encoding="utf-8")
    return 0
