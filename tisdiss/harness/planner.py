"""Plans the runs that studies need, each once and parents first. Nothing is trained here.

`plan` reads study objects, run folders and corpora, and writes nothing. If a corpus cannot be
opened, the plan still has the runs and their cost, but not which of them are done; such a plan
cannot be saved or run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tisdiss.config import DataConfig, TrainConfig, check_seed
from tisdiss.cost.planned import is_counted, macs_per_second, parameters
from tisdiss.harness.corpora import Corpora
from tisdiss.harness.plan import (
    Member,
    Plan,
    PlannedEvaluation,
    PlannedRow,
    PlannedRun,
    PlannedStudy,
    QuotedRow,
    RowRun,
    ScoredCorpus,
    StudyContent,
)
from tisdiss.machine.folders import HOME, RUNS
from tisdiss.records.files import DamagedError
from tisdiss.records.identity import (
    evaluation_identity,
    sha256_of,
    train_identity,
    training_manifest,
)
from tisdiss.records.run_folder import RunFolder
from tisdiss.study.profiles import Profile
from tisdiss.study.resolve import (
    check_rate,
    check_size,
    resolve_data,
    resolve_evaluation,
    resolve_training,
    resolve_weights,
)
from tisdiss.study.shipped_weights import read_shipped, weights_path
from tisdiss.study.words import Row, Study

if TYPE_CHECKING:
    from tisdiss.data import Corpus

_DECISIVE = {"set", "finetune", "evaluate", "corpora", "weights", "rows"}
"""The fields of a profile that determine the runs of a row, except for seeds."""


def plan(
    studies: Sequence[Study],
    profile: str,
    *,
    runs_dir: Path = RUNS,
    corpora: Corpora | None = None,
    root: Path = HOME,
    seeds: Sequence[int] | None = None,
    rows: Sequence[str] | None = None,
) -> Plan:
    """The runs that the studies need at a profile.

    The `file:` of shipped weights is relative to `root`; `seeds` replaces those of the studies;
    `rows` keeps only these rows. Equal runs of different rows or studies are planned once.
    """
    for seed in seeds or ():
        check_seed(seed)
    planner = _Planner(profile, Path(root), corpora or Corpora())
    planned = [planner.add(study, seeds=seeds, rows=rows) for study in studies]
    runs = _with_weights(
        [_with_state(run, Path(runs_dir)) for run in planner.runs.values()], runs_dir
    )
    return Plan(
        profile=profile,
        runs=runs,
        studies=tuple(planned),
        partial=bool(rows or seeds),
        notes=(*(() if seeds else _other_seeds(studies, profile)), *_counted(runs)),
    )


def _other_seeds(studies: Sequence[Study], profile: str) -> Iterator[str]:
    for study in studies:
        seeds = study.at(profile).seeds
        if seeds != study.seeds:
            yield (
                f"{study.study}: profile {profile} has seed {_listed(seeds or ())}, the study has "
                f"{_listed(study.seeds)}; --seed N runs another"
            )


def _counted(runs: Sequence[PlannedRun]) -> Iterator[str]:
    for name in dict.fromkeys(run.name for run in runs if is_counted(run.config.model)):
        yield f"{name}: parameters and multiply-adds are counted, for it has no formulas"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _with_state(run: PlannedRun, runs_dir: Path) -> PlannedRun:
    if run.unknown:
        return run
    evaluations = tuple(evaluation.identity for evaluation in run.evaluations)
    try:
        state = RunFolder.of(runs_dir, run.identity).state(evaluations)
    except DamagedError:  # `Runner` reports it
        state = "damaged"
    return run.model_copy(update={"state": state})


def _with_weights(runs: list[PlannedRun], runs_dir: Path) -> tuple[PlannedRun, ...]:
    """Runs out of a report have no weights: one from which another has to start is not done."""
    made = {run.identity: run for run in runs}
    for run in reversed(runs):  # children before their parents
        parent = made.get(run.parent or "")
        if parent is None or parent.state != "done" or made[run.identity].state == "done":
            continue
        if not RunFolder.of(runs_dir, parent.identity).model_file.is_file():
            made[parent.identity] = parent.model_copy(update={"state": "partial"})
    return tuple(made.values())


@dataclass
class _Planner:
    profile: str
    root: Path
    corpora: Corpora
    runs: dict[str, PlannedRun] = field(default_factory=dict)
    missing: dict[tuple[str, int], str] = field(default_factory=dict)
    """Why a corpus could not be opened, by its config and number of speakers."""

    def add(
        self, study: Study, *, seeds: Sequence[int] | None, rows: Sequence[str] | None
    ) -> PlannedStudy:
        view = study.at(self.profile)
        planned = [
            self._row(study, study.shown(row), view, seeds or view.seeds or (0,))
            for row in _chosen(study, rows)
        ]
        return PlannedStudy(
            study=study.study,
            profile=self.profile,
            rows=tuple(planned),
            content=self._content(study, view, planned),
        )

    def _row(self, study: Study, row: Row, view: Profile, seeds: Sequence[int]) -> PlannedRow:
        runs: dict[str, RowRun] = {}
        corpus = study.corpus_of(row)
        for seed in seeds:
            with _located(study, row):
                run = self._run(study, row, seed)
                evaluation = self._evaluation(run, view, corpus, row.n_sep)
            member = Member(study=study.study, row=row.id, profile=self.profile)
            self._register(run.identity, evaluation, member)
            row_run = RowRun(seed=seed, identity=run.identity, evaluation=evaluation.identity)
            runs.setdefault(run.identity, row_run)  # shipped weights are one run for all seeds
        model = run.config.model
        scored = evaluation.config.n_re or (model.n_re,)
        as_scored = model.with_n_sep(evaluation.config.n_sep)
        return PlannedRow(
            id=row.id,
            label=row.label or model.name,
            name=model.name,
            kind=run.kind,
            corpus=corpus,
            n_re_train=model.n_re,
            n_sep_train=model.n_sep,
            n_sep=evaluation.config.n_sep,
            at=row.at or _depths_in(row.paper) or (model.n_re,),
            params=parameters(model),
            counted=is_counted(model),
            marks=row.marks,
            macs={n_re: macs_per_second(as_scored, n_re) for n_re in scored},
            paper=row.paper or None,
            runs=tuple(runs.values()),
        )

    def _run(self, study: Study, row: Row, seed: int) -> PlannedRun:
        study, row = study.origin(row)
        view = study.at(self.profile)
        parent = self._parent(study, row, view, seed)
        if row.weights:
            assert parent is not None
            return parent
        model = parent.config.model if parent else None
        config = resolve_training(study, row, view, seed=seed, parent=model)
        return self._training(config, parent)

    def _parent(self, study: Study, row: Row, view: Profile, seed: int) -> PlannedRun | None:
        if row.parent is None:
            return None
        if not row.parent.startswith("weights:"):
            return self._run(study, study.row(row.parent), seed)
        name = row.parent.removeprefix("weights:")
        trained = resolve_weights(view, name, seed=seed)
        return self._training(trained, None) if trained else self._shipped(view, name)

    def _training(self, config: TrainConfig, parent: PlannedRun | None) -> PlannedRun:
        config = config.model_copy(update={"parent": parent.identity if parent else None})
        check_size(config.model)
        corpus, missing = self._open(config.data, config.model.n_src)
        manifest = training_manifest(corpus) if corpus else _unknown(config.data)
        return self._keep(
            PlannedRun(
                identity=train_identity(config, manifest),
                kind="finetune" if parent else "train",
                config=config,
                data_manifest=manifest,
                parent=config.parent,
                unknown=missing or (parent.unknown if parent else None),
            )
        )

    def _shipped(self, view: Profile, name: str) -> PlannedRun:
        file = view.meaning(name).file
        assert file is not None
        identity, config, manifest = read_shipped(weights_path(file, self.root))
        return self._keep(
            PlannedRun(
                identity=identity, kind="weights", config=config, data_manifest=manifest, file=file
            )
        )

    def _keep(self, run: PlannedRun) -> PlannedRun:
        return self.runs.setdefault(run.identity, run)

    def _open(self, data: DataConfig, n_src: int) -> tuple[Corpus | None, str | None]:
        """The corpus, or why it cannot be opened."""
        key = data.model_dump_json(), n_src
        if key not in self.missing:
            try:
                return self.corpora.open(data, n_src), None
            except (ValueError, OSError) as error:
                self.missing[key] = f"corpus '{data.source}' cannot be opened: {error}"
        return None, self.missing[key]

    def _evaluation(
        self, run: PlannedRun, view: Profile, role: str, n_sep: int | None
    ) -> PlannedEvaluation:
        config = resolve_evaluation(view, run.config.model, n_sep)
        data = run.config.data if run.kind != "weights" else resolve_data(view, role)
        check_rate(run.config.model, data)
        config.check_quality(data.sample_rate)
        corpus, missing = self._open(data, run.config.model.n_src)
        if missing:
            self.runs[run.identity] = run.model_copy(update={"unknown": missing})
        scored = getattr(corpus, config.split, None)
        manifest = scored.manifest_hash if scored else _unknown(data)
        return PlannedEvaluation(
            identity=evaluation_identity(run.identity, config, manifest),
            config=config,
            data=data,
            test_manifest=manifest,
        )

    def _register(self, identity: str, evaluation: PlannedEvaluation, member: Member) -> None:
        run = self.runs[identity]
        known = {e.identity for e in run.evaluations}
        evaluations = run.evaluations + ((evaluation,) if evaluation.identity not in known else ())
        members = run.members + ((member,) if member not in run.members else ())
        self.runs[identity] = run.model_copy(
            update={"evaluations": evaluations, "members": members}
        )

    def _content(self, study: Study, view: Profile, rows: Sequence[PlannedRow]) -> StudyContent:
        roles = {row.corpus: row for row in reversed(rows)}
        corpora = {role: self._corpus(row, view) for role, row in sorted(roles.items())}
        quoted = [row for row in study.rows if row.published]
        origins = [study.origin(row) for row in study.rows if row.use]
        used_rows = [[s.base, s.corpus, row.model_dump(mode="json")] for s, row in origins]
        without_text = study.model_dump(
            mode="json",
            exclude={
                "claims": {"__all__": {"says", "same_as"}},
                "how_to_read": True,
                "show": {"against", "pareto"},
            },
        )
        return StudyContent(
            title=study.title,
            claim=study.claim,
            how_to_read=study.notes,
            base=study.base,
            corpus=corpora[rows[0].corpus] if rows else ScoredCorpus(),
            corpora=corpora,
            evaluate=resolve_evaluation(view),
            show=study.show,
            claims=study.claims,
            published=tuple(_quoted(study, row) for row in quoted),
            study_hash=sha256_of([without_text, used_rows]),
            profile_hash=sha256_of(view.model_dump(mode="json", include=_DECISIVE)),
            order=tuple(row.id for row in study.rows),
        )

    def _corpus(self, row: PlannedRow, view: Profile) -> ScoredCorpus:
        role = view.role(row.corpus)
        run = self.runs[row.runs[0].identity]
        evaluation = next(e for e in run.evaluations if e.identity == row.runs[0].evaluation)
        corpus, _ = self._open(evaluation.data, run.config.model.n_src)
        if corpus is None:
            return ScoredCorpus(label=role.label or None)
        scored = corpus.source.split(evaluation.config.split)
        notes = (view.note, role.note, corpus.source.note)
        return ScoredCorpus(
            label=role.label or None,
            source=corpus.source.name,
            data_source=evaluation.data.source,
            data_condition=evaluation.data.condition,
            data_noise=evaluation.data.noise,
            manifest=corpus.manifest_hash,
            test_manifest=evaluation.test_manifest,
            speakers_test=len({utterance.speaker for utterance in scored}),
            note="; ".join(note for note in notes if note),
        )


def _chosen(study: Study, rows: Sequence[str] | None) -> list[Row]:
    """The named rows, by default all that are run; ValueError for a row that is only quoted."""
    run = [row for row in study.rows if not row.published]
    if not run:
        raise ValueError(f"study '{study.study}': all rows are quoted, nothing is run; add a row")
    if not rows:
        return run
    for row in (chosen := [study.row(row_id) for row_id in rows]):
        if row.published:
            raise ValueError(
                f"study '{study.study}': row '{row.id}' is quoted, nothing is run; name one of "
                f"{', '.join(each.id for each in run)}"
            )
    return chosen


@contextmanager
def _located(study: Study, row: Row) -> Iterator[None]:
    """Add the row's place in its file to a ValueError of the block."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{study.place(row)}: {row.id!r}: {error}") from error


def _quoted(study: Study, row: Row) -> QuotedRow:
    return QuotedRow(
        id=row.id,
        label=row.label,
        published=row.published,
        source=row.source,
        marks=row.marks,
        corpus=study.corpus_of(row),
    )


def _depths_in(values: dict[str, float]) -> tuple[int, ...]:
    """The depths that the paper reports, such as 3 and 5 of si_snri.re3 and si_snri.re5."""
    return tuple(sorted({int(key.partition(".re")[2]) for key in values if ".re" in key}))


def _unknown(data: DataConfig) -> str:
    """A placeholder for a manifest: equal for equal corpora, and different from any real one."""
    return sha256_of({"not opened": data.model_dump(mode="json")})
