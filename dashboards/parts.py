"""What all dashboards are made of: variables, queries over one of identical exporters, panels in one style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from exporter.rules.config import RUNBOOKS

TAG = "together-exporter"
FLEET, DEPLOYMENT, EXPORTER = "together-fleet", "together-deployment", "together-exporter"  # kept: bookmarks have them
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
IDENTITY = "cluster, project, deployment"  # with the label that the rules keep by default; without it nothing changes
WHERE = 'cluster=~"$cluster",project=~"$project"'
WHICH = f'{WHERE},deployment=~"$deployment"'
WHO = "{{cluster}} {{project}}/{{deployment}}"
ANY, ANY_OR_NONE = ".+", ".*"  # what "All" stands for; a label that may be missing needs the second
GREEN, YELLOW, RED, BLUE, PURPLE, GREY = "green", "yellow", "red", "blue", "purple", "text"
# The number of each status in a timeline; 0 for one that is not known.
STATUSES = {
    "Ready": (1, GREEN),
    "ScaledToZero": (2, BLUE),
    "Scaling": (3, YELLOW),
    "Updating": (4, PURPLE),
    "Failed": (5, RED),
}
LINK = (
    f"/d/{DEPLOYMENT}?var-project=${{__data.fields.project}}&var-deployment=${{__data.fields.deployment}}"
    "&${datasource:queryparam}&${cluster:queryparam}"
)

Steps = Sequence[tuple[float | None, str]]  # from which value on, and the colour; None for the first
FINE_AT_ZERO: Steps = ((None, GREEN), (1, RED))
PLAIN: Steps = ((None, GREEN),)
OLD: Steps = ((None, GREEN), (300, YELLOW), (900, RED))  # s; of what is known
Panel = TypeVar("Panel", stat.Panel, timeseries.Panel, statetimeline.Panel, table.Panel, heatmap.Panel)


def one(metric: str, *labels: str, matching: str = "") -> str:
    """A gauge of the chosen deployments, once for each, however many exporters show it."""
    selector = f"{WHICH},{matching}" if matching else WHICH
    return f"max by ({', '.join((IDENTITY, *labels))}) ({metric}{{{selector}}})"


def with_own_label(expr: str, window: str = "1d") -> str:
    """Of deployments with the chosen own label at some time in the window, also those that are gone."""
    labels = f'together_deployment_labels{{{WHICH},$own_label=~"$own_value"}}'
    return f"({expr})\nand on ({IDENTITY}) last_over_time({labels}[{window}])"


def chosen(expr: str) -> str:
    """Of deployments with the chosen GPU types and own labels, which are known for a day after the state is not."""
    known = f'last_over_time(together_deployment_info{{{WHICH},gpu_type=~"$gpu_type"}}[1d])'
    return f"{with_own_label(expr)}\nand on ({IDENTITY}) {known}"


def status_code() -> str:
    known = STATUSES.items()
    return "\n+ ".join(
        f"{code} * " + one("together_deployment_status", matching=f'status="{s}"') for s, (code, _) in known
    )


def new(title: str, uid: str, description: str) -> dashboard.Dashboard:
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Together AI")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .link(dashboard.DashboardLink("Runbooks").type(models.DashboardLinkType.LINK).url(RUNBOOKS).target_blank(True))
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )


def variable(name: str, label: str, query: str, everything: str = ANY) -> dashboard.QueryVariable:
    """One or many values of a label, or all. `everything`: the regular expression of all."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(everything)
        .current(models.VariableOption(text="All", value="$__all", selected=True))
    )


def cluster(metric: str) -> dashboard.QueryVariable:
    return variable("cluster", "Cluster", f"label_values({metric}, cluster)", ANY_OR_NONE)


def own_label() -> dashboard.QueryVariable:
    """The name of one of the deployments' own labels; `project`, which every deployment has, filters nothing."""
    return (
        dashboard.QueryVariable("own_label")
        .label("Own label")
        .datasource(DATASOURCE)
        .query("label_names(together_deployment_labels)")
        .regex("/^(project|label_.+)$/")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .current(models.VariableOption(text="project", value="project", selected=True))
    )


def with_deployments(board: dashboard.Dashboard) -> dashboard.Dashboard:
    """Variables that choose deployments, and what happened to them as annotations."""
    info, up, labels = "together_deployment_info", "together_deployment_poll_success", "together_deployment_labels"
    revisions = f"max by ({IDENTITY}, revision) ({info}{{{WHICH}}}"
    counted = f"increase(together_deployment_status_changes_total{{{WHICH}}}[1m])"
    changes = f"max by ({IDENTITY}, status) ({counted})"
    where_own = f'{WHERE},$own_label=~"$own_value"'
    return (
        board.with_variable(cluster(up))
        .with_variable(variable("project", "Project", f'label_values({up}{{cluster=~"$cluster"}}, project)'))
        .with_variable(variable("gpu_type", "GPU type", f"label_values({info}{{{WHERE}}}, gpu_type)"))
        .with_variable(own_label())
        .with_variable(
            variable("own_value", "Its values", f"label_values({labels}{{{WHERE}}}, $own_label)", ANY_OR_NONE)
        )
        .with_variable(variable("deployment", "Deployment", f"label_values({labels}{{{where_own}}}, deployment)"))
        .annotation(annotation("Revisions", PURPLE, f"{revisions})\nunless {revisions} offset 1m)"))
        .annotation(annotation("Status changes", YELLOW, f"{changes} > 0"))
    )


def annotation(name: str, color: str, expr: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(color).expr(expr)


def query(
    expr: str, legend: str = "", ref: str = "A", *, instant: bool = False, rows: bool = False
) -> prometheus.Dataquery:
    """`rows`: for a table."""
    made = prometheus.Dataquery().ref_id(ref).datasource(DATASOURCE).expr(expr)
    if legend:
        made = made.legend_format(legend)
    if rows:
        made = made.format(PromQueryFormat.TABLE)
    return made.instant() if instant or rows else made.range()


def dress(panel: Panel, title: str, description: str, width: int, height: int, steps: Steps = PLAIN) -> Panel:
    limits = [models.Threshold(value=value, color=color) for value, color in steps]
    thresholds = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(limits)
    panel.title(title).description(description).datasource(DATASOURCE).thresholds(thresholds)
    panel.span(width).height(height)
    return panel


def number(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    steps: Steps = FINE_AT_ZERO,
    width: int = 4,
    legend: str = "",
    decimals: int | None = None,
) -> stat.Panel:
    """Large, and coloured by its thresholds."""
    panel = dress(stat.Panel(), title, description, width, 4, steps)
    if decimals is not None:
        panel.decimals(decimals)
    return (
        panel.unit(unit)
        .no_value("nothing known")
        .color_mode(common_models.BigValueColorMode.BACKGROUND)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .with_target(query(expr, legend, instant=True))
    )


def graph(
    title: str,
    description: str,
    queries: Mapping[str, str],
    *,
    unit: str = "short",
    width: int = 12,
    stacked: bool = False,
) -> timeseries.Panel:
    """`queries`: expressions by legend."""
    panel = dress(timeseries.Panel(), title, description, width, 8)
    panel.unit(unit).min(0).legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
    )
    panel.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)).fill_opacity(30)
    for ref, (legend, expr) in zip("ABCDEFGH", queries.items(), strict=False):
        panel.with_target(query(expr, legend, ref))
    return panel


def timeline(title: str, description: str, expr: str, *, height: int = 8) -> statetimeline.Panel:
    """The status of each deployment over time."""
    panel = dress(statetimeline.Panel(), title, description, 24, height)
    panel.unit("none")
    options = {str(code): models.ValueMappingResult(text=name, color=color) for name, (code, color) in STATUSES.items()}
    options["0"] = models.ValueMappingResult(text="other", color=GREY)
    panel.mappings([models.ValueMap(options=options)]).merge_values(True)
    panel.show_value(common_models.VisibilityMode.NEVER).with_target(query(expr, WHO))
    return panel


def rows(
    title: str,
    description: str,
    columns: Mapping[str, str],
    *,
    units: Mapping[str, str] | None = None,
    hidden: Sequence[str] = (),
    sort: str = "",
    height: int = 10,
) -> table.Panel:
    """A table with one row for each set of labels. `columns`: expressions by the name of the column with their values;
    those in `hidden` give labels only. `units`: of the columns that are no plain numbers. `sort`: the column whose
    largest values come first."""
    panel = dress(table.Panel(), title, description, 24, height)
    panel.unit("none")
    names, excluded = {}, {"Time": True}
    for ref, (name, expr) in zip("ABCDEFGHIJ", columns.items(), strict=False):
        panel.with_target(query(expr, ref=ref, rows=True))
        value = f"Value #{ref}" if len(columns) > 1 else "Value"
        names[value] = name
        if name in hidden:
            excluded[value] = True
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    organize = {"renameByName": names, "excludeByName": excluded}
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=organize))
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    for name, unit in (units or {}).items():
        panel.override_by_name(name, [models.DynamicConfigValue(id_val="unit", value=unit)])
    link = {"title": "Open the deployment", "url": LINK}
    panel.override_by_name("deployment", [models.DynamicConfigValue(id_val="links", value=[link])])
    return panel
