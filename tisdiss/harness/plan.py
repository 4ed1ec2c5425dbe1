"""Studies in, the runs they need out, each once and parents first. Nothing is trained here.

`plan` reads study objects, run folders and corpora, and writes nothing; `Plan.save` writes
`runs/plans/<study>.<profile>.json`, from which analysis knows which runs make which row. Where a
corpus cannot be opened the plan still says what there is to do and what it costs, but not which of
it is done: such a plan cannot be saved or run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tisdiss.config import DataConfig, EvalConfig, TrainConfig, check_seed
from tisdiss.cost.formulas import macs_per_second, parameters
from tisdiss.harness.corpora import Corpora
from tisdiss.records.files import DamagedError, write_atomic
from tisdiss.records.identity import (
    SCHEMA,
    evaluation_identity,
    sha256_of,
    short,
    train_identity,
    training_manifest,
)
from tisdiss.records.run_folder import RunFolder, State, json_text
from tisdiss.records.shapes import StudyFile, plan_files, read_plan
from tisdiss.study.profiles import Profile, Words
from tisdiss.study.resolve import (
    check_rate,
    resolve_data,
    resolve_evaluation,
    resolve_training,
    resolve_weights,
)
from tisdiss.study.shipped_weights import read_shipped, weights_path
from tisdiss.study.words import Marks, Row, Study

if TYPE_CHECKING:
    from tisdiss.data import Corpus

Kind = Literal["train", "finetune", "weights"]

_DECISIVE = {"set", "finetune", "evaluate", "corpora", "weights"}
"""What of a profile decides which runs a row has, but for their seeds."""


class PlannedEvaluation(Words):
    """Some weights scored at some depths on some mixtures."""

    identity: str
    config: EvalConfig
    data: DataConfig
    test_manifest: str


class Member(Words):
    """A place where a run is shown."""

    study: str
    row: str
    profile: str


class PlannedRun(Words):
    """One training (or import of shipped weights) with the evaluations asked of it."""

    identity: str
    kind: Kind
    config: TrainConfig
    data_manifest: str
    parent: str | None = None
    file: str | None = None
    """Shipped weights, for kind "weights"."""
    evaluations: tuple[PlannedEvaluation, ...] = ()
    members: tuple[Member, ...] = ()
    state: State = "new"
    unknown: str | None = None
    """Why its mixtures, and with them its identity, are not known."""

    @property
    def name(self) -> str:
        return self.config.model.name

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def code(self) -> str:
        """What a person sees of the identity."""
        return "?" if self.unknown else short(self.identity)

    def __str__(self) -> str:
        rows = ", ".join(sorted({f"{m.study}/{m.row}" for m in self.members})) or "parent only"
        return f"{self.code} {self.name} seed {self.seed} ({rows})"


class RowRun(Words):
    """A seed of a row: which run, and which of its evaluations."""

    seed: int
    identity: str
    evaluation: str


class PlannedRow(Words):
    """A row of a study with its runs, one a seed."""

    id: str
    label: str
    name: str
    kind: Kind
    corpus: str
    """The role of what it hears; scores of different roles are never compared."""
    n_re_train: int
    n_sep_train: int
    at: tuple[int, ...]
    """N_re of its lines in a table; 0 without early split."""
    params: int | None
    macs: dict[int, int]
    """Multiply-adds for a second of sound, by N_re."""
    marks: Marks | None
    paper: dict[str, float] | None
    runs: tuple[RowRun, ...]


class PlannedStudy(Words):
    """A study at a profile, as analysis reads it from `runs/plans/`."""

    study: str
    profile: str
    rows: tuple[PlannedRow, ...]
    content: dict[str, Any]
    """The rest of the file: title, claim, corpora, evaluate, show, published rows, claims."""

    def document(self) -> dict[str, Any]:
        head = {"schema": SCHEMA, "study": self.study, "profile": self.profile}
        return {**head, **self.content, "rows": [row.model_dump(mode="json") for row in self.rows]}


class Plan(Words):
    """The runs of some studies at one profile, parents before children, and the studies."""

    profile: str
    runs: tuple[PlannedRun, ...]
    studies: tuple[PlannedStudy, ...]
    partial: bool = False
    """Only some rows or seeds were asked for."""
    notes: tuple[str, ...] = ()
    """What a person may not expect of it."""

    @property
    def todo(self) -> tuple[PlannedRun, ...]:
        """Runs that are not done."""
        return tuple(run for run in self.runs if run.state != "done")

    def run(self, identity: str) -> PlannedRun:
        """The run whose identity starts with the given digits."""
        found = [run for run in self.runs if run.identity.startswith(identity)]
        if len(found) != 1:
            there = ", ".join(short(run.identity) for run in self.runs)
            raise ValueError(f"'{identity}' is no run of this plan; there are: {there}")
        return found[0]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Why the identity of some runs is not known, each reason once."""
        return tuple(dict.fromkeys(run.unknown for run in self.runs if run.unknown))

    def check_known(self) -> None:
        """ValueError where the identity of a run is not known."""
        if self.unknown:
            raise ValueError("\n".join(self.unknown))

    def save(self, runs_dir: Path) -> list[Path]:
        """Write one file per study; returns their paths.

        It is laid over the file of the same study at the same settings: seeds that are finished
        stay, and all that a partial plan does not name.
        """
        self.check_known()
        paths = []
        for study in self.studies:
            path = Path(runs_dir) / "plans" / f"{study.study}.{study.profile}.json"
            document = study.document()
            if kept := self._kept(path, Path(runs_dir)):
                document = _laid_over(kept, document)
            document["rows"] = _told_apart(document["rows"])
            write_atomic(path, json_text(document))
            paths.append(path)
        return paths

    def _kept(self, path: Path, runs_dir: Path) -> dict[str, Any] | None:
        """What of a saved plan stays; a damaged one is written anew where this plan is whole."""
        if not os.path.lexists(path):
            return None
        if self.partial or path.is_dir():  # which nothing can replace
            return read_plan(path, StudyFile)
        with suppress(DamagedError):
            return _finished(read_plan(path, StudyFile), runs_dir)
        return None


def saved_plans(
    runs_dir: Path, profile: str = "*", *, damaged: Callable[[DamagedError], None]
) -> Iterator[dict[str, Any]]:
    """All saved plans, or those at a profile; those that cannot be read are told and left out."""
    for path in plan_files(runs_dir, profile):
        try:
            yield read_plan(path)
        except DamagedError as error:
            damaged(error)


def plan(
    studies: Sequence[Study],
    profile: str,
    *,
    runs_dir: Path = Path("runs"),
    corpora: Corpora | None = None,
    root: Path = Path("."),
    seeds: Sequence[int] | None = None,
    rows: Sequence[str] | None = None,
) -> Plan:
    """What has to be run so that the studies can be shown at a profile.

    `root` is where the `file:` of shipped weights is relative to; `seeds` replaces those of the
    studies; `rows` keeps only these rows. Equal runs of different rows or studies are planned once.
    """
    for seed in seeds or ():
        check_seed(seed)
    planner = _Planner(profile, Path(root), corpora or Corpora())
    planned = [planner.add(study, seeds=seeds, rows=rows) for study in studies]
    runs = tuple(_with_state(run, Path(runs_dir)) for run in planner.runs.values())
    return Plan(
        profile=profile,
        runs=runs,
        studies=tuple(planned),
        partial=bool(rows or seeds),
        notes=() if seeds else tuple(_other_seeds(studies, profile)),
    )


def _other_seeds(studies: Sequence[Study], profile: str) -> Iterator[str]:
    for study in studies:
        seeds = study.at(profile).seeds
        if seeds != study.seeds:
            yield (
                f"{study.study}: seed {_listed(seeds or ())} by profile {profile}, where the study "
                f"has {_listed(study.seeds)}; --seed N runs another"
            )


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _finished(plan: dict[str, Any], runs_dir: Path) -> dict[str, Any]:
    """A saved plan with its finished runs alone."""
    rows = [
        row | {"runs": [run for run in row["runs"] if _is_done(run, runs_dir)]}
        for row in plan["rows"]
    ]
    return plan | {"rows": [row for row in rows if row["runs"]]}


def _is_done(run: dict[str, Any], runs_dir: Path) -> bool:
    try:
        return RunFolder.of(runs_dir, run["identity"]).state((run["evaluation"],)) == "done"
    except DamagedError:
        return False


def _laid_over(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The plan `now` with the rows and seeds that only `before` names, if all else is the same."""
    if any(before.get(key) != now[key] for key in ("study_hash", "profile_hash")):
        return now
    heard, hears = _manifests(before), _manifests(now)
    if any(heard[role] != hears[role] for role in heard.keys() & hears.keys()):
        return now
    rows = {row["id"]: row for row in before["rows"]}
    for row in now["rows"]:
        known = {run["seed"]: run for run in rows.get(row["id"], row)["runs"]}
        known |= {run["seed"]: run for run in row["runs"]}
        runs: dict[str, Any] = {}  # shipped weights are one run, whatever the seed
        for seed in sorted(known):
            runs.setdefault(known[seed]["identity"], known[seed])
        rows[row["id"]] = row | {"runs": list(runs.values())}
    corpora = before.get("corpora", {}) | now.get("corpora", {})
    ordered = [rows[row_id] for row_id in now["order"] if row_id in rows]
    return now | {"rows": ordered, "corpora": corpora}


def _manifests(plan: dict[str, Any]) -> dict[str, Any]:
    """What was heard, by role."""
    return {role: corpus.get("manifest") for role, corpus in plan.get("corpora", {}).items()}


def _told_apart(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row that is only called like its model gets its id, too, if another of its corpus is."""

    def with_id(row: dict[str, Any]) -> str:
        return f"{row['name']} ({row['id']})"

    bare = [row for row in rows if row["label"] in (row["name"], with_id(row))]
    count = Counter((row["corpus"], row["name"]) for row in bare)
    alike = [row["id"] for row in bare if count[row["corpus"], row["name"]] > 1]
    return [row | {"label": with_id(row)} if row["id"] in alike else row for row in rows]


def _with_state(run: PlannedRun, runs_dir: Path) -> PlannedRun:
    if run.unknown:
        return run
    asked = tuple(evaluation.identity for evaluation in run.evaluations)
    try:
        state = RunFolder.of(runs_dir, run.identity).state(asked)
    except DamagedError:  # its Runner says what is wrong
        state = "damaged"
    return run.model_copy(update={"state": state})


@dataclass
class _Planner:
    profile: str
    root: Path
    corpora: Corpora
    runs: dict[str, PlannedRun] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Why a corpus could not be opened, by its config."""

    def add(
        self, study: Study, *, seeds: Sequence[int] | None, rows: Sequence[str] | None
    ) -> PlannedStudy:
        view = study.at(self.profile)
        chosen = [study.row(row_id) for row_id in rows] if rows else study.rows
        planned = [
            self._row(study, study.shown(row), view, seeds or view.seeds or (0,))
            for row in chosen
            if not row.published
        ]
        content = self._content(study, view, planned)
        content["order"] = [row.id for row in study.rows]
        return PlannedStudy(
            study=study.study,
            profile=self.profile,
            rows=tuple(planned),
            content=content,
        )

    def _row(self, study: Study, row: Row, view: Profile, seeds: Sequence[int]) -> PlannedRow:
        runs: dict[str, RowRun] = {}
        corpus = study.corpus_of(row)
        for seed in seeds:
            with _told_at(study, row):
                run = self._run(study, row, seed)
                evaluation = self._evaluation(run, view, corpus)
            member = Member(study=study.study, row=row.id, profile=self.profile)
            self._note(run.identity, evaluation, member)
            own = RowRun(seed=seed, identity=run.identity, evaluation=evaluation.identity)
            runs.setdefault(run.identity, own)  # shipped weights are one run, whatever the seed
        model = run.config.model
        scored = evaluation.config.n_re or (model.n_re,)
        return PlannedRow(
            id=row.id,
            label=row.label or model.name,
            name=model.name,
            kind=run.kind,
            corpus=corpus,
            n_re_train=model.n_re,
            n_sep_train=model.n_sep,
            at=row.at or _depths_in(row.paper) or (model.n_re,),
            params=parameters(model),
            macs={n_re: macs_per_second(model, n_re) for n_re in scored},
            marks=row.marks,
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
        """The corpus, or why there is none."""
        key = data.model_dump_json()
        if key not in self.missing:
            try:
                return self.corpora.open(data, n_src), None
            except (ValueError, OSError) as error:
                self.missing[key] = f"corpus '{data.source}' cannot be opened: {error}"
        return None, self.missing[key]

    def _evaluation(self, run: PlannedRun, view: Profile, role: str) -> PlannedEvaluation:
        config = resolve_evaluation(view, run.config.model)
        data = run.config.data if run.kind != "weights" else resolve_data(view, role)
        check_rate(run.config.model, data)
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

    def _note(self, identity: str, evaluation: PlannedEvaluation, member: Member) -> None:
        run = self.runs[identity]
        known = {e.identity for e in run.evaluations}
        evaluations = run.evaluations + ((evaluation,) if evaluation.identity not in known else ())
        members = run.members + ((member,) if member not in run.members else ())
        self.runs[identity] = run.model_copy(
            update={"evaluations": evaluations, "members": members}
        )

    def _content(self, study: Study, view: Profile, rows: Sequence[PlannedRow]) -> dict[str, Any]:
        roles = {row.corpus: row for row in reversed(rows)}
        corpora = {role: self._corpus(row, view) for role, row in sorted(roles.items())}
        quoted = [row for row in study.rows if row.published]
        used = [study.origin(row) for row in study.rows if row.use]
        elsewhere = [[s.base, s.corpus, row.model_dump(mode="json")] for s, row in used]
        but_words = study.model_dump(mode="json", exclude={"claims": {"__all__": {"says"}}})
        return {
            "title": study.title,
            "claim": study.claim,
            "base": study.base,
            "corpus": corpora[rows[0].corpus] if rows else {},
            "corpora": corpora,
            "evaluate": resolve_evaluation(view).model_dump(mode="json"),
            "show": study.show.model_dump(mode="json"),
            "claims": [claim.model_dump(mode="json") for claim in study.claims],
            "published": [_published(study, row) for row in quoted],
            "study_hash": sha256_of([but_words, elsewhere]),
            "profile_hash": sha256_of(view.model_dump(mode="json", include=_DECISIVE)),
        }

    def _corpus(self, row: PlannedRow, view: Profile) -> dict[str, Any]:
        """What the rows of a role are scored on, as every figure and table states it."""
        role = view.role(row.corpus)
        said = {"label": role.label} if role.label else {}
        run = self.runs[row.runs[0].identity]
        evaluation = next(e for e in run.evaluations if e.identity == row.runs[0].evaluation)
        corpus, _ = self._open(evaluation.data, run.config.model.n_src)
        if corpus is None:
            return said
        scored = corpus.source.split(evaluation.config.split)
        notes = (view.note, role.note, corpus.source.note)
        return {
            **said,
            "source": corpus.source.name,
            "data_source": evaluation.data.source,
            "data_condition": evaluation.data.condition,
            "data_noise": evaluation.data.noise,
            "manifest": corpus.manifest_hash,
            "test_manifest": evaluation.test_manifest,
            "speakers_test": len({utterance.speaker for utterance in scored}),
            "note": "; ".join(note for note in notes if note),
        }


@contextmanager
def _told_at(study: Study, row: Row) -> Iterator[None]:
    """What is wrong with a row only when it is planned, with the place where it stands."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{study.place(row)}: {row.id!r}: {error}") from error


def _published(study: Study, row: Row) -> dict[str, Any]:
    """A row that is quoted."""
    told = row.model_dump(mode="json", include={"id", "label", "published", "source", "marks"})
    return {**told, "corpus": study.corpus_of(row)}


def _depths_in(values: dict[str, float]) -> tuple[int, ...]:
    """The depths that the paper reports, such as 3 and 5 of si_snri.re3 and si_snri.re5."""
    return tuple(sorted({int(key.partition(".re")[2]) for key in values if ".re" in key}))


def _unknown(data: DataConfig) -> str:
    """In place of a manifest: equal for equal corpora, and equal to no real one."""
    return sha256_of({"not opened": data.model_dump(mode="json")})
