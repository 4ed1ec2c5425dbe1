"""A study's view in MLflow: only its runs, grouped by row, with their curves over N_re.

MLflow's pages take their state from a tag of the experiment: columns of the table, grouping, and
charts. The view appears in MLflow's list of views. The keys are those of MLflow's own pages
(as of 3.17); they pass over a key that they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tisdiss.records import names

COLUMNS = (
    f"tags.`{names.TAG_LABEL}`",
    f"metrics.`{names.score_metric(names.SI_SNRI)}`",
    f"metrics.`{names.score_metric(names.SDRI)}`",
    f"metrics.`{names.VAL_SI_SNRI}`",
    f"tags.`{names.TAG_STATUS}`",
    "params.`model.n_re`",
    "params.`seed`",
)
"""The first columns in order, by their names in MLflow's pages; parameters that differ follow."""
FIRST = "depth curves"
"""The section of charts that is shown first."""
FOLDED = ("depth", "speed", "test")
"""Sections that MLflow makes itself, of single numbers and of what the first section shows."""


def saved_view(study: str, differing: Sequence[str] = ()) -> tuple[str, str]:
    """Key and value of the experiment's tag; the same study gives the same text.

    `differing` are the parameters that differ between the runs of the study.
    """
    more = [column for name in differing if (column := f"params.`{name}`") not in COLUMNS]
    state = {
        "searchFilter": f"tags.`{names.study_tag(study)}` LIKE '%'",
        "orderByKey": f"metrics.`{names.score_metric(names.SI_SNRI)}`",
        "orderByAsc": False,
        "selectedColumns": [*COLUMNS, *more],
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": names.study_tag(study)}],
        },
        "useGroupedValuesInCharts": True,
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,
        "compareRunSections": [_section(FIRST), *(_section(name, folded=True) for name in FOLDED)],
        "compareRunCharts": [
            _curve(names.SI_SNRI),
            _curve(names.SDRI),
            *([_parallel(differing)] if differing else []),
        ],
    }
    view = {"name": study, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return names.SAVED_VIEW_TAG + study, json.dumps(view)


def differing_params(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """The parameters with more than one value among some runs, without the seed."""
    known = dict.fromkeys(name for params in runs for name in params if name != "seed")
    return [name for name in known if len({params.get(name) for params in runs}) > 1]


def _section(name: str, *, folded: bool = False) -> dict[str, object]:
    return {
        "uuid": f"section {name}",
        "name": name,
        "display": not folded,
        "isReordered": False,
        "deleted": False,
        "isGenerated": True,
    }


def _curve(score: str) -> dict[str, object]:
    """A score over N_re, which is the step of its metric."""
    metric = names.depth_metric(score)
    return {
        "type": "LINE",
        "uuid": f"chart {metric}",
        "metricSectionId": f"section {FIRST}",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "displayName": f"{names.score_heading(score)} against N_re",
        "xAxisKey": "step",
        "useGlobalXaxisKey": False,
        "displayPoints": True,
        "deleted": False,
        "isGenerated": False,
    }


def _parallel(params: Sequence[str]) -> dict[str, object]:
    """Parallel coordinates of the parameters that differ and the score."""
    return {
        "type": "PARALLEL",
        "uuid": "chart parameters",
        "metricSectionId": f"section {FIRST}",
        "displayName": "Parameters that differ",
        "selectedParams": [*params],
        "selectedMetrics": [names.score_metric(names.SI_SNRI)],
        "showAllRuns": False,
        "deleted": False,
        "isGenerated": False,
    }
