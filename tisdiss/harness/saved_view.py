"""A study's view in MLflow: only its runs, the best first, with labels and scores as columns.

MLflow's table shows metrics and tags only if they are selected. A view that is saved as a tag of
the experiment selects them, and appears in MLflow's list of views.
"""

from __future__ import annotations

import json

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
"""The columns in order, by their names in MLflow's pages."""


def saved_view(study: str) -> tuple[str, str]:
    """Key and value of the experiment's tag; the same study gives the same text."""
    state = {
        "searchFilter": f"tags.`{names.study_tag(study)}` LIKE '%'",
        "orderByKey": f"metrics.`{names.score_metric(names.SI_SNRI)}`",
        "orderByAsc": False,
        "selectedColumns": COLUMNS,
    }
    view = {"name": study, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return names.SAVED_VIEW_TAG + study, json.dumps(view)
