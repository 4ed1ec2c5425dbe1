"""A study that is trained and scored at profile smoke."""

import pandas as pd

from tisdiss.harness.corpora import Corpora
from tisdiss.harness.planner import plan
from tisdiss.harness.run import run
from tisdiss.harness.runner import Runner
from tisdiss.records.run_folder import RunFolder
from tisdiss.study.load import load_study


def train_and_score(study, folder):
    """The plan of a study, given as YAML, after all of its runs have scores of the 4 mixtures."""
    path = folder / "demo.yaml"
    path.write_text(study)
    corpora = Corpora(cache=folder / "cache")
    runner = Runner(runs_dir=folder / "runs", root=folder, corpora=corpora, say=lambda line: None)
    planned = plan([load_study(path)], "smoke", runs_dir=runner.runs_dir, corpora=corpora)
    assert set(run(planned, runner=runner, track=False).values()) == {"done"}
    for each in planned.runs:
        (asked,) = each.evaluations
        evaluation = RunFolder.of(runner.runs_dir, each.identity).evaluation(asked.identity)
        scores = pd.read_parquet(evaluation / "scores.parquet")
        assert len(scores) == 4 * 2 and scores["si_snri"].notna().all()
    return planned
