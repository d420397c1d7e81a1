"""Generates docs, rules, dashboards and chart from the code. `--check` lists outdated files."""

from __future__ import annotations

import argparse
import sys

from tools import boards, chart, docs, rules

COMMAND = "make generate"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only name the files that are out of date")
    is_check = parser.parse_args().check
    files = {**docs.files(), **rules.files(), **boards.files(), **chart.files()}
    old = [file for file, text in files.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file in old:
        if is_check:
            sys.stderr.write(f"{file} is out of date; run: {COMMAND}\n")
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(files[file], encoding="utf-8")
    return 1 if is_check and old else 0


if __name__ == "__main__":
    sys.exit(main())
