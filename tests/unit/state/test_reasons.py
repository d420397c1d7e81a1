from __future__ import annotations

import pytest

from exporter.state.reasons import CLASSES, reason_class


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("CrashLoopBackOff", "crash"),
        ("Error", "crash"),
        ("OOMKilled", "memory"),
        ("ImagePullBackOff", "image"),
        ("ErrImagePull", "image"),
        ("Unschedulable", "capacity"),
        ("OutOfcpu", "capacity"),
        ("OutOfnvidia.com/gpu", "capacity"),
        ("FailedMount", "volume"),
        ("CreateContainerConfigError", "config"),
        ("Evicted", "evicted"),
        ("Preempted", "evicted"),
        ("Terminated", "evicted"),
        ("ContainerCreating", "starting"),
        ("Completed", "completed"),
        ("VolumePreloadFailed", "other"),
        ("crashloopbackoff", "other"),
        ("Brand New", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_a_reason_has_a_class(reason: str | None, expected: str) -> None:
    assert reason_class(reason) == expected


def test_every_class_is_of_the_contract() -> None:
    contract = "crash, memory, image, capacity, volume, config, evicted, starting, completed, other"
    assert ", ".join(CLASSES) == contract
