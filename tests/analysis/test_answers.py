"""The JSON documents of claims, power and provenance, from run folders with known numbers."""

import json
from pathlib import Path

import pytest

from tisdiss.analysis.claims_of_studies import claims
from tisdiss.analysis.power import power
from tisdiss.analysis.provenance import why
from tisdiss.cli.answers import claims_document, power_document, print_json, why_document


@pytest.fixture(scope="module")
def folder(study_folder):
    made = study_folder().row("a", {3: 9.0}, seeds=(0, 1, 2)).row("b", {3: 7.0}, seeds=(0, 1, 2))
    made.plan["claims"] = [
        {"id": "better", "expr": "row('a') > row('b')", "source": "Sec. 3"},
        {"id": "absent", "expr": "row('a') > row('gone')", "source": "ours"},
    ]
    return made.save()


@pytest.fixture
def printed(capsys: pytest.CaptureFixture):
    def read(document) -> dict:
        print_json("x", document)
        return json.loads(capsys.readouterr().out)

    return read


def test_claims(folder, printed) -> None:
    said = printed(claims_document(claims(["fig2e"], "mini", folder.runs_dir), "mini"))
    assert said["profile"] == "mini"
    better, absent = said["claims"]
    assert better.keys() == absent.keys()
    assert (better["study"], better["claim"], better["status"]) == ("fig2e", "better", "PASS")
    assert better["difference"] == pytest.approx(2.0, abs=1e-6) and better["unit"] == "dB"
    assert better["low"] < 2 < better["high"]
    assert (better["seeds"], better["most_seeds"], better["mixtures"]) == (3, 3, 40)
    assert better["says"] == "a > b" or "a" in better["says"]
    assert (absent["status"], absent["difference"], absent["p"]) == ("MISSING", None, None)


def test_power(folder, printed) -> None:
    said = printed(power_document(power(folder.runs_dir, "fig2e", "mini"), "fig2e", "mini"))
    assert (said["study"], said["profile"]) == ("fig2e", "mini")
    better, absent = said["claims"]
    assert better.keys() == absent.keys()
    assert better["difference"] == pytest.approx(2.0, abs=1e-6)
    now = next(plan for plan in better["plans"] if (plan["seeds"], plan["mixtures"]) == (3, 40))
    assert now["detectable"] == pytest.approx(better["detectable"])
    assert better["needs"]["seeds"] == 2
    assert better["deviations"].keys() == {"speakers", "mixtures", "training", "assumed"}
    assert (absent["plans"], absent["detectable"]) == ([], None)
    assert absent["reason"] == "1 of its 2 rows is not planned"


def test_why(folder, keep_frames, printed, tmp_path: Path) -> None:
    reports = keep_frames(folder, tmp_path)
    said = printed(why_document(why("fig2e:a:si_snri", reports=reports)))
    assert said["cell"] == "fig2e:a:si_snri.re3" and said["profile"] == "mini"
    assert said["mean"] == pytest.approx(9.0, abs=1e-6) and said["low"] < 9 < said["high"]
    assert (said["mixtures"], said["missing"]) == (40, 0)
    assert said["row"] == {
        **{"id": "a", "label": "a", "model": "sep1x2-re1x3-l1+3", "n_re_train": 3}
    }
    assert [run["seed"] for run in said["runs"]] == [0, 1, 2]
    assert {run["commit"] for run in said["runs"]} == {"c0ffee"}
    assert {claim["claim"] for claim in said["claims"]} == {"better", "absent"}
    verdict = printed(why_document(why("fig2e:claim:better", reports=reports)))
    assert (verdict["mean"], verdict["row"]) == (None, None) and len(verdict["runs"]) == 6
