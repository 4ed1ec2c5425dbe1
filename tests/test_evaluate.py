"""Evaluation: scores of every depth from one pass, resumed from a journal, in fixed columns."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from tisdiss import evaluate as evaluation
from tisdiss.checkpoint import load_model, save_model
from tisdiss.config import EvalConfig
from tisdiss.data import Corpus
from tisdiss.dial import Dial
from tisdiss.evaluate import evaluate
from tisdiss.metrics import improvements
from tisdiss.model import TISDiSS
from tisdiss.records.names import SETTLED_BY, table_columns
from tisdiss.records.run_record import Origin

DEPTHS = EvalConfig(n_re=(1, 2, 4))


@pytest.fixture(scope="module")
def weights(tiny, tmp_path_factory) -> Callable[[str], Path]:
    """A model file with fresh weights, by paper name."""

    def write(name: str) -> Path:
        path = tmp_path_factory.mktemp("weights") / "model.safetensors"
        torch.manual_seed(1)
        save_model(path, TISDiSS.from_config(tiny(name)), Origin())
        return path

    return write


@pytest.fixture(scope="module")
def model_file(weights) -> Path:
    return weights("sep1x2-re1x2-l1+2")


@pytest.fixture(scope="module")
def scored(model_file: Path, corpus: Corpus, tmp_path_factory) -> Path:
    """A finished evaluation of three mixtures at three depths."""
    folder = tmp_path_factory.mktemp("scored") / "new" / "folder"
    evaluate(model_file, corpus, DEPTHS, folder)
    return folder


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "scores.parquet")


def test_columns_are_those_of_the_schema(scored: Path) -> None:
    scores = table(scored)
    assert tuple(scores.columns) == table_columns()
    assert set(scores.dtypes[["si_snr", "si_snri", "sdr", "sdri"]]) == {np.dtype("float64")}
    assert scores.drop(columns=SETTLED_BY).notna().all().all()


def test_there_is_a_row_per_mixture_depth_and_speaker(scored: Path, corpus: Corpus) -> None:
    scores = table(scored)
    expected = [
        (corpus.test[i].id, 2, n_re, slot, corpus.test[i].speakers[slot], 1600)
        for i in range(3)
        for n_re in (1, 2, 4)
        for slot in (0, 1)
    ]
    columns = ["mixture_id", "n_sep", "n_re", "slot", "speaker", "samples"]
    assert list(scores[columns].itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize("n_re", [1, 2, 4])
def test_one_deep_pass_scores_as_separate_shallow_ones(
    scored: Path, model_file: Path, corpus: Corpus, tmp_path: Path, n_re: int
) -> None:
    evaluate(model_file, corpus, EvalConfig(n_re=(n_re,)), tmp_path, audio=0)
    deep = table(scored)
    deep = deep[deep["n_re"] == n_re].reset_index(drop=True).drop(columns=SETTLED_BY)
    alone = table(tmp_path).drop(columns=SETTLED_BY)  # which needs the pass before
    pd.testing.assert_frame_equal(alone, deep, check_exact=True)


@pytest.mark.parametrize("threshold", [10, 20, 30, 60])
def test_scores_tell_where_the_adaptive_dial_stops(
    model_file: Path, corpus: Corpus, tmp_path: Path, threshold: float
) -> None:
    evaluate(model_file, corpus, EvalConfig(n_re=(1, 2, 3, 4)), tmp_path, audio=0)
    scores, model = table(tmp_path), load_model(model_file)
    for i in range(3):
        mixture = corpus.test[i]
        mine = scores[(scores["mixture_id"] == mixture.id) & (scores["slot"] == 0)]
        stops = mine.loc[mine[SETTLED_BY] >= threshold, "n_re"]
        with torch.inference_mode():
            _, n_re = Dial(n_re=4, settled_db=threshold).run(model, mixture.mixture[None])
        assert n_re == (stops.min() if len(stops) else 4)
    assert scores.loc[scores["n_re"] == 1, SETTLED_BY].isna().all()


def test_a_change_is_unknown_if_the_pass_before_was_not_evaluated(scored: Path) -> None:
    known = table(scored).groupby("n_re")[SETTLED_BY].count()
    assert known.to_dict() == {1: 0, 2: 6, 4: 0}


def test_values_are_the_improvements_of_the_models_output(
    scored: Path, model_file: Path, corpus: Corpus
) -> None:
    example, model, scores = corpus.test[1], load_model(model_file), table(scored)
    with torch.inference_mode():
        estimates = model(example.mixture[None], n_re=4)
    expected = improvements(estimates, example.sources[None], example.mixture[None])
    rows = scores[(scores["mixture_id"] == example.id) & (scores["n_re"] == 4)]
    for name, values in expected.items():
        assert rows[name].tolist() == pytest.approx(values[0].tolist(), rel=1e-12), name


def test_depths_are_sorted_and_the_first_mixtures_of_a_split_chosen(
    model_file: Path, corpus: Corpus, tmp_path: Path
) -> None:
    config = EvalConfig(n_re=(3, 1, 3), n_sep=1, split="val", mixtures=1)
    evaluate(model_file, corpus, config, tmp_path)
    scores = table(tmp_path)
    assert scores["n_re"].tolist() == [1, 1, 3, 3]
    assert set(scores["mixture_id"]) == {corpus.val[0].id} and set(scores["n_sep"]) == {1}
    about = json.loads((tmp_path / "evaluation.json").read_text())
    assert (about["model"], about["mixtures"]) == ("sep1x2-re1x2-l1+2", 1)


def test_a_model_without_early_split_is_scored_at_n_re_0(
    weights, corpus: Corpus, tmp_path: Path
) -> None:
    evaluate(weights("sep1x2-l1x2"), corpus, EvalConfig(n_sep=3), tmp_path)
    scores = table(tmp_path)
    assert len(scores) == 6 and set(scores["n_re"]) == {0} and set(scores["n_sep"]) == {3}


class Interrupted(Exception):
    pass


def interrupt_after(count: int) -> Callable[[dict], None]:
    def on_log(event: dict) -> None:
        if event["step"] == count:
            raise Interrupted

    return on_log


@pytest.mark.parametrize("torn", ["", '{"id": "test-0000', "\x00"])
def test_an_interrupted_evaluation_goes_on_from_its_journal(
    scored: Path, model_file: Path, corpus: Corpus, tmp_path: Path, monkeypatch, torn: str
) -> None:
    with pytest.raises(Interrupted):
        evaluate(model_file, corpus, DEPTHS, tmp_path, on_log=interrupt_after(2))
    assert not (tmp_path / "scores.parquet").exists()
    with (tmp_path / "scores.jsonl").open("a") as journal:
        journal.write(torn)
    real, computed = evaluation.score, []
    monkeypatch.setattr(
        evaluation, "score", lambda *given: (computed.append(given[1].id), real(*given))[1]
    )
    evaluate(model_file, corpus, DEPTHS, tmp_path)
    assert computed == [corpus.test[2].id]
    pd.testing.assert_frame_equal(table(tmp_path), table(scored), check_exact=True)
    assert tree(tmp_path / "audio") == tree(scored / "audio")


def test_the_seconds_of_an_interrupted_evaluation_are_those_of_all_its_parts(
    model_file: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, took = [0.0], iter([5.0, 3.0, 2.0, 0.5])
    rows = [{"mixture_id": "m", "n_re": 1, "si_snri": 0.0, "samples": 8000, "speaker": "a"}]

    def passes(result: object) -> Callable[..., object]:
        def called(*_: object) -> object:
            now[0] += next(took)
            return result

        return called

    monkeypatch.setattr("tisdiss.evaluate.time.monotonic", lambda: now[0])
    monkeypatch.setattr(evaluation, "score", passes(rows))
    monkeypatch.setattr(evaluation, "write_table", passes(None))
    with pytest.raises(Interrupted):
        evaluate(model_file, corpus, DEPTHS, tmp_path, on_log=interrupt_after(2))
    now[0] += 3600.0
    journal = tmp_path / "scores.jsonl"
    first, second = map(json.loads, journal.read_text().splitlines())
    assert (first.pop("seconds"), second["seconds"]) == (5.0, 3.0)
    before = tmp_path / "before"  # the first line as an earlier version wrote it
    before.mkdir()
    (before / "scores.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    evaluate(model_file, corpus, DEPTHS, tmp_path, audio=0)
    assert json.loads((tmp_path / "evaluation.json").read_text())["seconds"] == 5 + 3 + 2 + 0.5
    took = iter([2.0, 0.5])
    evaluate(model_file, corpus, DEPTHS, before, audio=0)
    assert json.loads((before / "evaluation.json").read_text())["seconds"] == 0 + 3 + 2 + 0.5


def test_scores_appear_only_with_the_audio(
    model_file: Path, corpus: Corpus, tmp_path: Path, monkeypatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(evaluation, "write_audio", lambda *_: (_ for _ in ()).throw(Interrupted))
        evaluate(model_file, corpus, DEPTHS, tmp_path)
    assert not (tmp_path / "scores.parquet").exists()
    evaluate(model_file, corpus, DEPTHS, tmp_path, audio=1)
    assert len(tree(tmp_path / "audio")) == 1 + 2 + 3 * 2


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.wav"))


def test_audio_of_the_same_mixtures_is_kept_for_every_model_at_the_scored_depths(
    model_file: Path, weights, corpus: Corpus, tmp_path: Path
) -> None:
    evaluate(model_file, corpus, EvalConfig(n_re=(1, 4, 11)), tmp_path, audio=2)
    names = ["mixture", "re1_est1", "re1_est2", "re4_est1", "re4_est2", "source1", "source2"]
    chosen = sorted(evaluation.to_hear(table(tmp_path).to_dict("records"), 2))
    assert tree(tmp_path / "audio") == [f"{m}/{name}.wav" for m in chosen for name in names]
    evaluate(weights("sep1x2-l1x2"), corpus, EvalConfig(), tmp_path / "other", audio=2)
    names = ["mixture", "re0_est1", "re0_est2", "source1", "source2"]
    assert tree(tmp_path / "other/audio") == [f"{m}/{name}.wav" for m in chosen for name in names]
    wave, rate = soundfile.read(tmp_path / "audio" / chosen[0] / "mixture.wav", dtype="float32")
    example = next(e for e in map(corpus.test.__getitem__, range(3)) if e.id == chosen[0])
    assert rate == 8000 and len(wave) == 1600
    torch.testing.assert_close(torch.from_numpy(wave), example.mixture, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, ""), (1, "b"), (2, "bd"), (3, "bde"), (4, "bdea"), (9, "abcde")]
)
def test_mixtures_to_hear_are_the_longest_each_cast_once_while_there_are_enough(
    count: int, expected: str
) -> None:
    mixtures = {"a": (90, "xy"), "b": (99, "xy"), "c": (20, "yx"), "d": (90, "xz"), "e": (50, "yz")}
    rows = [
        {"mixture_id": mixture, "n_re": n_re, "samples": samples, "speaker": speaker}
        for mixture, (samples, cast) in mixtures.items()
        for n_re in (1, 3)
        for speaker in cast
    ]
    assert evaluation.to_hear(rows, count) == set(expected)


def test_progress_counts_mixtures_with_the_mean_at_the_deepest_depth(
    scored: Path, model_file: Path, corpus: Corpus, tmp_path: Path
) -> None:
    events: list[dict] = []
    evaluate(model_file, corpus, DEPTHS, tmp_path, on_log=events.append)
    assert [(e["kind"], e["step"]) for e in events] == [("eval", 1), ("eval", 2), ("eval", 3)]
    scores = table(scored)
    deepest = scores[(scores["n_re"] == 4) & (scores["mixture_id"] == corpus.test[0].id)]
    assert events[0]["metrics"]["eval/si_snri"] == pytest.approx(deepest["si_snri"].mean())
    assert [e["metrics"]["eval/mixtures"] for e in events] == [3, 3, 3]


def test_the_time_left_leaves_out_the_slow_first_mixture(
    model_file: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, took = [0.0], iter([100.0, 2.0, 4.0])
    rows = [{"mixture_id": "m", "n_re": 1, "si_snri": 0.0, "samples": 8000, "speaker": "a"}]

    def score(*_: object) -> list[dict]:
        now[0] += next(took)
        return rows

    monkeypatch.setattr("tisdiss.evaluate.time.monotonic", lambda: now[0])
    monkeypatch.setattr(evaluation, "score", score)
    events: list[dict] = []
    evaluate(model_file, corpus, DEPTHS, tmp_path, on_log=events.append, audio=0)
    left = [event["metrics"].get("speed/seconds_left") for event in events]
    assert left == [None, 2.0, 0.0]


def test_speech_at_another_rate_than_the_models_is_refused(
    weights, tiny, corpus: Corpus, tmp_path: Path
) -> None:
    model = tiny("sep1x2-re1x2-l1+2")
    wide = model.model_copy(update={"codec": model.codec.model_copy(update={"sample_rate": 16000})})
    path = tmp_path / "wide.safetensors"
    save_model(path, TISDiSS.from_config(wide), Origin())
    with pytest.raises(ValueError, match=r"is at 8000 Hz, sep1x2-re1x2-l1\+2 works at 16000 Hz"):
        evaluate(path, corpus, DEPTHS, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
