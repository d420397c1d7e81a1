"""What was known to be wrong and is not known any more."""

from __future__ import annotations

from tests.unit.rules.cases_deployments import INFO, READABLE, UP
from tests.unit.rules.cases_projects import NOT_FOUND, expiry
from tests.unit.rules.promtool import P, Timeline, X, replicas, status

FAILED = status("Failed")
GONE = "1+0x9 stale"  # after 9 minutes


def held(alert: str, fires: int, series: dict[str, str], labels: dict[str, str]) -> list[Timeline]:
    """The ways in which a deployment that is known to be bad at minute `fires` becomes unknown one minute later."""
    gone = {name: f"{values} stale" for name, values in series.items()}
    here, away = f"1+0x{fires}", f"1+0x{fires} stale"
    later = fires + 20

    def timeline(name: str, others: dict[str, str], *, holds: bool) -> Timeline:
        before, after = (fires, alert, [labels]), (later, alert, [labels] if holds else [])
        return Timeline(f"{alert}: {name}", {**gone, INFO: away, **others}, [before, after])

    return [
        timeline("the only exporter is gone", {UP: away, READABLE: away}, holds=True),
        timeline("it restarts while the API is away", {UP: away, READABLE: f"{here} 0+0x90"}, holds=True),
        timeline("its polls fail beyond stale_after", {UP: f"{here} 0+0x90", READABLE: "1+0x300"}, holds=True),
        timeline(
            "one of two exporters with different projects is gone",
            {UP: away, READABLE: away, 'together_project_poll_success{project="q"}': "1+0x300"},
            holds=True,
        ),
        timeline(
            "its shard is gone",
            {
                UP: away,
                READABLE: "1+0x300",
                "together_exporter_shards": "2+0x300",
                'together_exporter_shard_info{index="0",instance="a"}': "1+0x300",
                'together_exporter_shard_info{index="1",instance="b"}': away,
            },
            holds=True,
        ),
        timeline("it is deleted", {UP: away, READABLE: "1+0x300"}, holds=False),
        timeline(
            "it is deleted and configured",
            {UP: f"{here} 0+0x90", READABLE: "1+0x300", NOT_FOUND: f"_x{fires} 1+0x90"},
            holds=False,
        ),
    ]


BLIND = (
    *held("TogetherDeploymentFailed", 9, {FAILED: "1+0x9"}, X),
    *held("TogetherDeploymentNoReadyReplica", 20, {replicas("ready"): "0+0x20", replicas("desired"): "2+0x20"}, X),
    *held("TogetherDeploymentScaledToZero", 9, {status("ScaledToZero"): "1+0x9", replicas("min"): "2+0x9"}, X),
    *held(
        "TogetherDeploymentAvailabilityBurnFast", 50, {replicas("ready"): "0+0x50", replicas("desired"): "2+0x50"}, X
    ),
    *held("TogetherSecretExpired", 9, {expiry("A"): "0+0x9", expiry("B"): "0+0x9"}, {**P, "secret": "hf"}),
    Timeline(
        "one bad sample, then nothing",
        {INFO: GONE, FAILED: "0+0x8 1 stale", UP: GONE, READABLE: GONE},
        [(minute, "TogetherDeploymentFailed", []) for minute in (9, 11, 15)],
    ),
    Timeline(
        "it ends when the deployment is known to be well",
        {INFO: "1+0x9 stale _x19 1+0x40", FAILED: "1+0x9 stale _x19 0+0x40", UP: "1+0x9 stale _x19 1+0x40"},
        [(29, "TogetherDeploymentFailed", [X]), (31, "TogetherDeploymentFailed", [])],
    ),
    Timeline(
        "it ends after an hour",
        {INFO: GONE, FAILED: GONE},
        [(65, "TogetherDeploymentFailed", [X]), (75, "TogetherDeploymentFailed", [])],
    ),
    Timeline(
        "the secret was renewed while another deployment of the project is unknown",
        {expiry("A"): "0+0x9 100000000+0x90", INFO: GONE, UP: "1+0x9 0+0x90", READABLE: "1+0x300"},
        [(9, "TogetherSecretExpired", [{**P, "secret": "hf"}]), (15, "TogetherSecretExpired", [])],
    ),
    Timeline(
        "a deployment that fails is not hidden by the healthy one of the other cluster",
        {
            INFO: GONE,
            FAILED: GONE,
            UP: GONE,
            READABLE: GONE,
            f'{INFO[:-1]},cluster="y"}}': "1+0x90",
            f'{FAILED[:-1]},cluster="y"}}': "0+0x90",
            f'{UP[:-1]},cluster="y"}}': "1+0x90",
            f'{READABLE[:-1]},cluster="y"}}': "1+0x90",
        },
        [(20, "TogetherDeploymentFailed", [X])],
    ),
)
