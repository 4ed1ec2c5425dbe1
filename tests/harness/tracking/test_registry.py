"""Addresses of weights in MLflow, promotions, and what is told where they do not work."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tisdiss.harness.tracking import registry
from tisdiss.harness.tracking.promote import check_claim, promote
from tisdiss.harness.tracking.sync import sync
from tisdiss.records import names
from tisdiss.shipped import weights_of
from tisdiss.speech_separator import load

REPORT = Path(__file__).resolve().parents[3] / "reports" / "fig2a" / names.PROVENANCE
NO_ID = "0" * 32


def test_every_address_of_a_run_gives_its_weights(
    client, tmp_path, write_run, write_model, models_of, runs_of
):
    runs_dir = tmp_path / "runs"
    folder = write_run(runs_dir)
    write_model(folder)
    promote(runs_dir, "abab", alias="best")
    (run,), (model,) = runs_of(client), models_of(client)
    for address in (
        f"runs:/{run.info.run_id}",
        f"models:/{model.model_id}",
        "models:/tisdiss@best",
        "models:/tisdiss/1",
    ):
        assert weights_of(address, runs_dir).read_bytes() == folder.model_file.read_bytes()
    assert load("models:/tisdiss@best", runs_dir=runs_dir).model.config.n_re == 3
    for address, told in {
        "models:/tisdiss@bets": "tisdiss has no alias 'bets'; nearest valid name: 'best'",
        "models:/tisdis@best": "has no registered model 'tisdis'; nearest valid name: 'tisdiss'",
        "models:/tisdiss/7": "tisdiss has no version 7; there are: 1",
        f"models:/m-{NO_ID}": "has no such model; `tisdiss sync` sends finished runs",
        f"runs:/{NO_ID}": "has no such run; `tisdiss sync` sends runs",
        "models:/tisdiss": f"no address of weights in MLflow; write {registry.FORMS}",
    }.items():
        with pytest.raises(ValueError) as caught:
            weights_of(address, runs_dir)
        assert str(caught.value).startswith(f"{address}: ") and told in str(caught.value)


def test_a_run_without_weights_says_so(client, tmp_path, write_run, runs_of):
    write_run(tmp_path / "runs")
    sync(tmp_path / "runs")
    address = f"runs:/{runs_of(client)[0].info.run_id}"
    with pytest.raises(ValueError, match=r"one file of weights .* is needed, there is config.json"):
        weights_of(address, tmp_path / "runs")
    with pytest.raises(ValueError, match="the run has no weights here; run its study again"):
        promote(tmp_path / "runs", "abab")


def test_a_file_of_a_server_is_fetched_once(tmp_path):
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "a.safetensors").write_bytes(b"weights")
    repository = LocalArtifactRepository((tmp_path / "place").as_uri())
    for _ in range(2):
        kept = registry._downloaded(repository, "a.safetensors", tmp_path / "cache")
        assert kept.read_bytes() == b"weights"
        (tmp_path / "place" / "a.safetensors").unlink(missing_ok=True)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a.safetensors"]


def test_a_database_that_is_not_there_is_not_made(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(
        ValueError, match=r"mlflow\.db: there is no such MLflow database; `tisdiss s"
    ):
        weights_of("models:/tisdiss@best", tmp_path / "runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"no answer from .* Start it, or name another"):
        weights_of("models:/tisdiss@best", tmp_path / "runs")
    assert not list(tmp_path.iterdir())


class NoRights(BaseHTTPRequestHandler):
    """A server that lets nobody do anything."""

    def do_GET(self):
        said = json.dumps({"error_code": "PERMISSION_DENIED", "message": "Permission denied"})
        self.send_response(403)
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_):
        """Nothing."""


def test_a_registry_without_rights_is_one_line(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), NoRights)
    threading.Thread(target=server.serve_forever).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(ConnectionError) as caught:
            weights_of("models:/tisdiss@best", tmp_path / "runs")
    finally:
        server.shutdown()
        server.server_close()
    assert "Permission denied. Ask for that right, or log in by $MLFLOW_TRACKING_USE" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"alias": "latest"}, "'latest': an alias has letters, digits, _ and -; MLflow keeps"),
        ({"alias": "v3"}, "'v3': an alias has"),
        ({"alias": "a b"}, "'a b': an alias has"),
        ({"name": "a/b"}, "'a/b': the name of a registered model has letters"),
    ],
)
def test_names_that_mlflow_does_not_allow_are_refused(tmp_path, words, told):
    with pytest.raises(ValueError) as caught:
        promote(tmp_path / "runs", "abab", **words)
    assert str(caught.value).startswith(told) and not list(tmp_path.iterdir())


def test_only_finished_runs_are_promoted(tmp_path, write_run):
    write_run(tmp_path / "runs", status="failed")
    with pytest.raises(ValueError, match="run ababababab is failed; only finished runs are promo"):
        promote(tmp_path / "runs", "abab")


def test_a_claim_that_does_not_pass_keeps_a_run_from_promotion(tmp_path, write_run):
    folder = write_run(tmp_path / "runs")
    reports = tmp_path / "reports"
    report = json.loads(REPORT.read_text())
    claim = report["claims"][0]

    def check(status, identity=folder.identity, name=f"fig2a/{claim['id']}"):
        claim.update(status=status, reason="too few mixtures")
        report["runs"][0]["identity"] = identity
        (reports / "fig2a").mkdir(parents=True, exist_ok=True)
        (reports / "fig2a" / names.PROVENANCE).write_text(json.dumps(report))
        check_claim(name, "abab", reports, tmp_path / "runs")

    check("PASS")
    with pytest.raises(
        ValueError, match=r"fig2a/steady: FAIL \(too few mixtures\); run ababababab"
    ):
        check("FAIL")
    with pytest.raises(ValueError, match="fig2a/steady is not about run ababababab"):
        check("PASS", identity="34" * 32)
    with pytest.raises(ValueError, match="no such claim; nearest valid name: 'steady'"):
        check("PASS", name="fig2a/stedy")
    with pytest.raises(ValueError, match="a claim is written STUDY/CLAIM"):
        check("PASS", name="steady")
