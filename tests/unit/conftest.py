"""Fixtures of tests that run the daemon in the process of the tests."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.e2e.faulty_api import FaultyApi

SUCCESSFUL = "together_exporter_config_last_reload_successful"


@pytest.fixture
def restored_process() -> Iterator[None]:
    """What the daemon sets for the whole process."""
    root, thresholds = logging.getLogger(), gc.get_threshold()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    gc.set_threshold(*thresholds)


@pytest.fixture
def api() -> Iterator[FaultyApi]:
    with FaultyApi() as server:
        yield server
