"""`tisdiss run --until-decided`: its options, its rounds and its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tisdiss.harness.plan import Plan
    from tisdiss.harness.runner import Outcome, Runner
    from tisdiss.harness.until_decided import Deadline
    from tisdiss.records.seed_path import SeedPath

Launch = Callable[["Plan", "Runner"], Mapping[str, "Outcome"]]
PlanAt = Callable[[str, int, Sequence[str]], "Plan"]
"""The runs of some rows of a study at a seed."""


def check_options(max_hours: float | None, *, until_decided: bool, here: bool) -> None:
    """Raise BadParameter for options that do not go together, before anything is opened."""
    if until_decided and max_hours is None:
        raise typer.BadParameter("--until-decided needs a time limit: add --max-hours, such as 8")
    if max_hours is not None and not until_decided:
        raise typer.BadParameter("--max-hours is for --until-decided: add it, or use --max-minutes")
    if until_decided and not here:
        raise typer.BadParameter("--until-decided waits for each round: use --engine local")


def run_until_decided(
    first: Plan,
    *,
    runner: Runner,
    plan_at: PlanAt,
    launch: Launch,
    deadline: Deadline,
    max_seeds: int,
    console: Console,
) -> dict[str, Outcome]:
    """Train the seeds of the studies, then rounds of seeds; returns outcomes by identity."""
    from tisdiss.analysis.sequential import seed_path  # with pandas
    from tisdiss.harness.until_decided import until_decided
    from tisdiss.records.seed_path import read_seed_path, write_seed_path

    studies = [study.study for study in first.studies]
    without = [study.study for study in first.studies if not study.content.claims]
    if without:
        raise ValueError(f"{', '.join(without)}: no claims, so there is nothing to decide")
    outcomes = dict(launch(first, deadline.heeded_by(runner)))
    if "stopped" in outcomes.values():
        runner.say(deadline.told)
        return outcomes

    def look() -> list[SeedPath]:
        before = {name: read_seed_path(runner.runs_dir, name, first.profile) for name in studies}
        paths = [
            seed_path(runner.runs_dir, name, first.profile, path, max_seeds)
            for name, path in before.items()
        ]
        for path in paths:
            write_seed_path(runner.runs_dir, path)
        return paths

    def train(study: str, seed: int, rows: Sequence[str]) -> Mapping[str, Outcome]:
        runner.say(f"{study}: seed {seed} of {', '.join(rows)}")
        round_outcomes = launch(plan_at(study, seed, rows), deadline.heeded_by(runner))
        for run, outcome in round_outcomes.items():
            if outcome != "skipped" or run not in outcomes:
                outcomes[run] = outcome
        return round_outcomes

    def show(paths: Sequence[SeedPath]) -> None:
        for path in paths:
            console.print(path_table(path))

    runner.say(until_decided(look, train, deadline, show))
    return outcomes


def path_table(path: SeedPath) -> Table:
    """Each claim with its difference at each number of seeds, and its outcome."""
    from tisdiss.harness.display import new_table

    counts = sorted({look.seeds for claim in path.claims for look in claim.looks})
    table = new_table(f"{path.study} at profile {path.profile}, at most {path.max_seeds} seeds")
    table.add_column("claim")
    for seeds in counts:
        table.add_column(f"{seeds} seeds", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("power", justify="right")
    table.add_column("outcome")
    for claim in path.claims:
        by_seeds = {look.seeds: f"{look.difference:+.3f}" for look in claim.looks}
        last = claim.looks[-1] if claim.looks else None
        table.add_row(
            claim.claim,
            *(by_seeds.get(seeds, "") for seeds in counts),
            f"{last.p:.2g} of {last.level:.2g}" if last else "",
            f"{last.power:.0%}" if last else "",
            claim.outcome + (f": {claim.reason}" if claim.reason else ""),
        )
    table.caption = (
        "differences in dB; a claim is decided if p is at most its level; "
        "power: the probability that the last look decides"
    )
    return table
