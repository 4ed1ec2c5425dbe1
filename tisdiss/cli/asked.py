"""The options that select runs: studies, profile, and folders of speech and runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, get_type_hints

from tisdiss.cli.options import Cache, Profile, Rows, RunsDir, Seeds, Speech, Studies
from tisdiss.machine.folders import CACHE, RUNS

if TYPE_CHECKING:
    from tisdiss.harness.corpora import Corpora
    from tisdiss.harness.plan import Plan


@dataclass(frozen=True)
class Asked:
    """The options that select runs, as in `plan` and `run`."""

    studies: Studies
    profile: Profile = "mini"
    runs_dir: RunsDir = RUNS
    cache: Cache = CACHE
    speech: Speech = None
    seed: Seeds = None
    row: Rows = None

    @property
    def corpora(self) -> Corpora:
        """The opener of the runs' corpora."""
        from tisdiss.harness.corpora import Corpora

        return Corpora(cache=self.cache, speech=self.speech)

    def plan(self) -> Plan:
        """The plan of the studies; shows a message while their corpora are opened."""
        from rich.console import Console

        from tisdiss.harness.planner import plan
        from tisdiss.study.load import find_studies

        studies = find_studies(self.studies)
        with Console(stderr=True).status("opening the corpora (their sounds are decoded once)"):
            return plan(
                studies,
                self.profile,
                runs_dir=self.runs_dir,
                corpora=self.corpora,
                seeds=self.seed or None,
                rows=self.row or None,
            )


def with_asked(command: Callable[..., None]) -> Callable[..., None]:
    """The command for typer, with the options of `Asked` in place of its first argument."""
    shared = _parameters(Asked)
    own = _parameters(command)[1:]

    @wraps(command)
    def expanded(**options: Any) -> None:
        asked = Asked(**{field.name: options.pop(field.name) for field in fields(Asked)})
        command(asked, **options)

    parameters = [each.replace(kind=each.KEYWORD_ONLY) for each in (*shared, *own)]
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {each.name: each.annotation for each in parameters}
    return expanded


def _parameters(called: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a callable, with resolved annotations."""
    hints = get_type_hints(called, include_extras=True)
    return [
        each.replace(annotation=hints[each.name])
        for each in inspect.signature(called).parameters.values()
    ]
