"""Maps Kubernetes' reasons of replicas to classes with different remedies."""

from __future__ import annotations

from typing import Literal, get_args

ReasonClass = Literal[
    "crash", "memory", "image", "capacity", "volume", "config", "evicted", "starting", "completed", "other"
]
CLASSES: tuple[ReasonClass, ...] = get_args(ReasonClass)

_CLASSES: dict[str, ReasonClass] = {
    "CrashLoopBackOff": "crash",
    "Error": "crash",
    "ContainerCannotRun": "crash",
    "StartError": "crash",
    "RunContainerError": "crash",
    "PostStartHookError": "crash",
    "OOMKilled": "memory",
    "ErrImagePull": "image",
    "ImagePullBackOff": "image",
    "InvalidImageName": "image",
    "ErrImageNeverPull": "image",
    "ImageInspectError": "image",
    "RegistryUnavailable": "image",
    "Unschedulable": "capacity",
    "InsufficientCapacity": "capacity",
    "UnexpectedAdmissionError": "capacity",
    "FailedMount": "volume",
    "FailedAttachVolume": "volume",
    "FailedMapVolume": "volume",
    "VolumeResizeFailed": "volume",
    "FileSystemResizeFailed": "volume",
    "CreateContainerConfigError": "config",
    "CreateContainerError": "config",
    "Evicted": "evicted",
    "Preempted": "evicted",
    "Preempting": "evicted",
    "NodeLost": "evicted",
    "NodeShutdown": "evicted",
    "NodeAffinity": "evicted",
    "Terminated": "evicted",  # graceful node shutdown
    "Shutdown": "evicted",
    "ContainerCreating": "starting",
    "PodInitializing": "starting",
    "Completed": "completed",
}
_OUT_OF = "OutOf"  # cpu, memory, nvidia.com/gpu ...: the node had none left


def reason_class(reason: str | None) -> ReasonClass:
    """`other` for unknown or missing reasons."""
    if reason is not None and reason.startswith(_OUT_OF):
        return "capacity"
    return _CLASSES.get(reason or "", "other")
