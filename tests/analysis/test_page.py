"""The page of all studies: self-contained, the same bytes again, and driven in a real browser."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from analysis.frames import load_study
from analysis.listen import heard
from analysis.page import html_report

DEPTHS = (1, 3)


@pytest.fixture(scope="module")
def folder(study_folder):
    """Row a keeps three mixtures to hear; row b keeps none."""
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}, label="<a> & co")
    folder.row("b", {1: 2.0, 3: 4.0})
    folder.plan["claims"] = [{"id": "c", "expr": "row('a') > row('b')", "source": "Sec. 3.4"}]
    folder.save()
    audio = next(folder.folder("a").glob("evaluations/*")) / "audio"
    for at in range(3):
        keep(audio / f"m{at:04d}", frequency=300.0 + 100 * at)
    return folder


def keep(place, frequency):
    """Sounds of one mixture, as `tisdiss/evaluate.py` leaves them."""
    place.mkdir(parents=True)
    names = ["mixture", "source1", "source2", *(f"re{n}_est{s}" for n in DEPTHS for s in (1, 2))]
    for at, name in enumerate(names):
        tone = 0.3 * np.sin(2 * np.pi * (frequency + 200 * at) * np.arange(2000) / 8000)
        soundfile.write(place / f"{name}.wav", tone, 8000, subtype="PCM_16")


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    path, absent = html_report(["fig2e", "fig9"], "mini", folder.runs_dir, out)
    assert [text.partition(":")[0] for text in absent] == ["fig9"]
    return path


def data_of(path):
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_page_is_the_same_bytes_again(folder, made, tmp_path):
    again, _ = html_report(["fig2e", "fig9"], "mini", folder.runs_dir, tmp_path / "again.html")
    assert again.read_bytes() == made.read_bytes()


def test_page_needs_no_network_and_names_no_machine_path(made, folder):
    text = made.read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text)
    assert "@import" not in text
    assert str(folder.runs_dir) not in text


def test_page_shows_verdict_table_and_what_is_absent(made):
    text = made.read_text()
    assert '<span class="verdict pass">PASS</span> <code>row(&#x27;a&#x27;) &gt;' in text
    assert "&lt;a&gt; &amp; co" in text
    assert 'data-key="a.si_snri.re3"' in text
    assert "Not run at this profile: fig9." in text


def test_cell_of_the_page_leads_to_its_run(made, folder):
    study = data_of(made)["studies"]["fig2e"]
    (identity,) = study["cells"]["a.si_snri.re3"]["runs"]
    assert identity == folder.plan["rows"][0]["runs"][0]["identity"]
    assert study["runs"][identity]["commit"] == "c0ffee"


def test_heard_mixtures_are_ordered_from_best_to_worst(folder):
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    found, sounds = heard(frames, "a", folder.runs_dir, "si_snri")
    assert [mixture.title for mixture in found] == ["best", "median", "worst"]
    means = [np.mean(mixture.scores["3"]) for mixture in found]
    assert means == sorted(means, reverse=True)
    assert found[0].depths == [1, 3]
    assert set(found[0].sounds.values()) <= set(sounds)


def test_row_that_kept_no_sound_is_silent(folder):
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    assert heard(frames, "b", folder.runs_dir, "si_snri") == ([], {})


def test_row_without_a_depth_to_choose_is_not_heard(folder):
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    evaluation = next(folder.folder("b").glob("evaluations/*"))
    keep(evaluation / "audio" / "m0000", frequency=300.0)
    for path in evaluation.glob("audio/m0000/re*"):
        path.unlink()
    assert heard(frames, "b", folder.runs_dir, "si_snri") == ([], {})


def test_nothing_to_show_says_what_to_run(tmp_path):
    with pytest.raises(ValueError, match="nothing to show at profile mini: fig2a: no plan"):
        html_report(["fig2a"], "mini", tmp_path, tmp_path / "report.html")


DRIVE = """
<script>
window.addEventListener("load", async () => {
  const said = {}, box = document.querySelector(".player"), slider = box.querySelector("input");
  const sleep = () => new Promise((done) => setTimeout(done, 20));
  const drawn = async () => {
    for (let i = 0; i < 200 && box.dataset.drawn !== box.dataset.sound; i++) await sleep();
    return [box.dataset.drawn, box.querySelector("output").textContent];
  };
  said.first = await drawn();
  slider.value = slider.max;
  slider.dispatchEvent(new Event("input"));
  said.deepest = await drawn();
  said.picture = box.querySelector("canvas").width;
  box.querySelector("[data-signal=mixture]").click();
  said.mixture = [box.dataset.sound, slider.disabled];
  document.querySelector("td[data-key]").dispatchEvent(new Event("mouseenter"));
  said.origin = document.getElementById("origin").textContent;
  const table = document.querySelector("table.numbers");
  const sort = () => {
    table.querySelector("th:nth-child(4)").click();
    return [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
  };
  said.sorted = [sort(), sort()];
  said.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const out = document.createElement("pre");
  out.id = "said";
  out.textContent = JSON.stringify(said);
  document.body.append(out);
});
</script>
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1280])
def test_page_in_a_browser(made, tmp_path, width):
    """The slider changes what is heard, a cell shows its run, a heading sorts, all fits."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs chromium")
    page = tmp_path / "driven.html"
    page.write_text(made.read_text().replace("</body>", DRIVE + "</body>"))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--timeout=60000"]
    command += ["--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True).stdout
    found = re.search(r'<pre id="said">(.*?)</pre>', shown, re.DOTALL)
    assert found, shown[-2000:]
    said = json.loads(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    assert said["first"] == ["re1_est1", "1"]
    assert said["deepest"] == ["re3_est1", "3"]
    assert said["picture"] > 1
    assert said["mixture"] == ["mixture", True]
    assert "seed 0" in said["origin"] and "c0ffee" in said["origin"]
    assert said["sorted"] == [["<a> & co", "b"], ["b", "<a> & co"]]
    assert said["wide"] <= 0
