"""The coverage-guided fuzz target from the API's bytes to the page; `make fuzz` runs it."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(
    include=["exporter.api.models", "exporter.api.listing", "exporter.state", "exporter.metrics"]
):
    from tests.fuzz.promises import keeps_its_promises


def main() -> None:
    atheris.Setup(sys.argv, keeps_its_promises)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
