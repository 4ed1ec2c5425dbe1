"""A page of one study with sounds, and what it holds."""

import json
import re

import numpy as np
import pytest
import soundfile

from tisdiss.analysis.page import html_report

DEPTHS = (1, 3)


@pytest.fixture(scope="module")
def folder(study_folder):
    """Row a keeps three mixtures to hear; row b keeps none."""
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}, label="<a> & co")
    folder.row("b", {1: 2.0, 3: 4.0} | {n: 4.0 for n in range(4, 11)})
    folder.plan["claims"] = [{"id": "c", "expr": "row('a') > row('b')", "source": "Sec. 3.4"}]
    folder.save()
    _say_source(folder, "prompts")
    audio = next(folder.folder("a").glob("evaluations/*")) / "audio"
    for at in range(3):
        _keep(audio / f"m{at:04d}", frequency=300.0 + 100 * at, samples=2000 - 8 * (at != 1))
    return folder


def _say_source(folder, source):
    """Let the plan say where the scored speech is from."""
    folder.plan["corpus"]["data_source"] = source
    folder.save()


@pytest.fixture(scope="session")
def say_source():
    return _say_source


def _keep(place, frequency, samples=2000, depths=DEPTHS):
    """Sounds of one mixture, as `tisdiss/evaluate.py` leaves them."""
    place.mkdir(parents=True)
    names = ["mixture", "source1", "source2", *(f"re{n}_est{s}" for n in depths for s in (1, 2))]
    for at, name in enumerate(names):
        tone = 0.3 * np.sin(2 * np.pi * (frequency + 200 * at) * np.arange(samples) / 8000)
        soundfile.write(place / f"{name}.wav", tone, 8000, subtype="PCM_16")


@pytest.fixture(scope="session")
def keep():
    return _keep


@pytest.fixture(scope="module")
def reports(folder, keep_frames, tmp_path_factory):
    return keep_frames(folder, tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def made(folder, reports):
    return html_report(reports, folder.runs_dir, reports / "report.html")


def _data_of(path):
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(found[1])


@pytest.fixture(scope="session")
def data_of():
    return _data_of
