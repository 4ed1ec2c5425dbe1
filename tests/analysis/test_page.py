"""The page of all studies: self-contained, the same bytes again, and driven in a real browser."""

import base64
import json
import os
import re
import shutil
import subprocess
import time

import numpy as np
import pytest
import soundfile

from tisdiss.analysis.claims import claims
from tisdiss.analysis.claims_text import to_text
from tisdiss.analysis.frames import load_study
from tisdiss.analysis.index import PAPER, all_studies, write_index
from tisdiss.analysis.page import html_report
from tisdiss.analysis.sounds import heard, licences_of
from tisdiss.study.load import find_studies

DEPTHS = (1, 3)


@pytest.fixture(scope="module")
def folder(study_folder):
    """Row a keeps three mixtures to hear; row b keeps none."""
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}, label="<a> & co")
    folder.row("b", {1: 2.0, 3: 4.0} | {n: 4.0 for n in range(4, 11)})
    folder.plan["claims"] = [{"id": "c", "expr": "row('a') > row('b')", "source": "Sec. 3.4"}]
    folder.save()
    say_source(folder, "prompts")
    audio = next(folder.folder("a").glob("evaluations/*")) / "audio"
    for at in range(3):
        keep(audio / f"m{at:04d}", frequency=300.0 + 100 * at, samples=2000 - 8 * (at != 1))
    return folder


def say_source(folder, source):
    """Let the plan say where the scored speech is from."""
    folder.plan["corpus"]["data_source"] = source
    folder.save()


def keep(place, frequency, samples=2000, depths=DEPTHS):
    """Sounds of one mixture, as `tisdiss/evaluate.py` leaves them."""
    place.mkdir(parents=True)
    names = ["mixture", "source1", "source2", *(f"re{n}_est{s}" for n in depths for s in (1, 2))]
    for at, name in enumerate(names):
        tone = 0.3 * np.sin(2 * np.pi * (frequency + 200 * at) * np.arange(samples) / 8000)
        soundfile.write(place / f"{name}.wav", tone, 8000, subtype="PCM_16")


@pytest.fixture(scope="module")
def reports(folder, keep_frames, tmp_path_factory):
    return keep_frames(folder, tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def made(folder, reports):
    return html_report(reports, folder.runs_dir, reports / "report.html")


def data_of(path):
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_page_is_the_same_bytes_again(folder, reports, made, tmp_path):
    again = html_report(reports, folder.runs_dir, tmp_path / "again.html")
    assert again.read_bytes() == made.read_bytes()


def test_page_needs_no_network_and_names_no_machine_path(made, folder):
    text = made.read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text)
    assert "@import" not in text
    assert str(folder.runs_dir) not in text


def test_page_shows_verdict_table_and_what_is_absent(made):
    text = made.read_text()
    said = "&quot;&lt;a&gt; &amp; co&quot; has a higher SI-SNRi than &quot;b&quot;."
    assert (
        f'<span class="verdict one-training">ONE TRAINING</span> {said} <span class="note">Sec. 3.4'
        in text
    )
    assert "<code>row(&#x27;a&#x27;) &gt; row(&#x27;b&#x27;)</code>" in text
    assert "&lt;a&gt; &amp; co" in text
    assert 'data-key="a.si_snri.re3"' in text
    assert '<tr class="absent"><td>fig2a</td>' in text


def test_claims_are_counted_alike_on_page_and_index_and_by_command(made, reports, folder):
    """The one report is decided; the claims of ten studies of the paper are missing."""
    index = write_index(reports).read_text()
    (counted,) = re.findall(r"## Claims: (.*) in 11 studies", index)
    assert f"<strong>{counted}</strong> in 11 studies, 1 of them run." in made.read_text()
    verdicts = claims(all_studies(folder.runs_dir, "mini"), "mini", folder.runs_dir)
    assert to_text(verdicts, "mini").split("\n")[-4] == f"{counted} in 11 studies."
    unrun = sum(len(study.claims) for study in find_studies([s for s in PAPER if s != "fig2e"]))
    assert counted == f"1 ONE TRAINING, {unrun} MISSING"
    assert f"<td>not run</td><td>{len(find_studies(['fig2a'])[0].claims)} MISSING</td>" in (
        made.read_text()
    )


def test_cell_of_the_page_leads_to_its_run(made, folder):
    study = data_of(made)["studies"]["fig2e"]
    (identity,) = study["cells"]["a.si_snri.re3"]["runs"]
    assert identity == folder.plan["rows"][0]["runs"][0]["identity"]
    assert study["runs"][identity]["origin"].startswith("commit c0ffee")
    assert study["cells"]["a.si_snri.re3"]["manifest"] == folder.plan["corpus"]["manifest"]


def said_beside(folder):
    """What the licences of a study's sounds say."""
    found = licences_of(load_study(folder.runs_dir, "fig2e", "mini"))
    return " ".join(licence.said for licence in found)


def test_sounds_are_credited(made):
    text = made.read_text()
    assert "http://www.voip.ammdomus.it" in text and "CC BY-SA 3.0" in text
    assert len(data_of(made)["sounds"]) == 15  # equal ones once


def test_speech_of_ones_own_is_passed_on_only_when_asked(study_folder, keep_frames, tmp_path):
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}).row("b", {1: 1.0})
    keep(next(folder.folder("a").glob("evaluations/*")) / "audio" / "m0000", frequency=300.0)
    for source in ("wsj0-2mix", "folder"):
        say_source(folder, source)
        assert "may not be passed on" in said_beside(folder)
    keep_frames(folder, tmp_path)
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "report.html")
    assert data_of(page)["sounds"] == {} and "data:audio/flac;base64,f" not in page.read_text()
    said = "Speech of a folder of your own, whose licence is not known here: may not be passed on."
    assert f"No sounds here. {said} For a page of your own" in page.read_text()
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "own.html", own_speech=True)
    assert len(data_of(page)["sounds"]) == 7 and said in page.read_text()


def test_speech_of_training_is_not_heard_and_does_not_silence_a_free_corpus(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    path = folder.folder("a") / "config.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps(known | {"train": {"data": {"source": "folder"}}}))
    assert "voip.ammdomus.it" in said_beside(folder)


def test_a_folder_that_is_called_like_a_free_corpus_is_not_free(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    folder.plan["corpus"]["data_source"] = "folder"  # its name is still "prompts"
    folder.save()
    assert "may not be passed on" in said_beside(folder)


def test_free_sounds_say_their_licence_and_never_that_they_may_not_be_passed_on(made, folder):
    assert "may not be passed on" not in made.read_text()
    say_source(folder, "synthetic")
    assert said_beside(folder) == "Generated sounds, no speech: free to pass on."
    say_source(folder, "prompts")


def test_noise_of_ones_own_is_not_passed_on_with_free_speech(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    folder.plan["corpus"] |= {"data_condition": "noisy", "data_noise": "folder"}
    assert said_beside(folder.save()).endswith(
        "With noise of a folder of your own, whose licence is not known here: may not be passed on."
    )


def test_page_without_run_folders_has_all_but_the_sounds(reports, tmp_path):
    page = html_report(reports, tmp_path / "none", tmp_path / "report.html")
    assert data_of(page)["sounds"] == {}
    assert 'data-key="a.si_snri.re3"' in page.read_text()
    assert "run folders that kept them are not" in page.read_text()


def test_heard_mixtures_are_ordered_from_the_longest(folder):
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    found, sounds = heard(frames, "a", folder.runs_dir, "si_snri")
    assert [mixture.title for mixture in found] == [
        "1: 0.2 s, f + f",
        "2: 0.2 s, f + m",
        "3: 0.2 s, f + m",
    ]
    assert [mixture.mixture for mixture in found] == ["m0001", "m0000", "m0002"]
    assert found[0].depths == [1, 3]
    assert set(found[0].sounds.values()) <= set(sounds)


def test_every_row_is_heard_on_the_same_mixtures_one_of_them_at_all_depths(
    study_folder, keep_frames, tmp_path
):
    """Row b is named first; a is heard at the ends and where a row was trained."""
    depths = dict.fromkeys((1, 2, 3, 4, 5), 3.0)
    folder = study_folder().row("a", depths).row("b", depths, n_re_train=4)
    folder.row("plain", {0: 3.0}, n_re_train=0)
    folder.plan["claims"] = [{"id": "c", "expr": "row('b') > row('a')", "source": "ours"}]
    folder.save()
    for row, kept in (("a", depths), ("b", depths), ("plain", [0])):
        place = next(folder.folder(row).glob("evaluations/*")) / "audio" / "m0000"
        keep(place, frequency=300.0, depths=kept)
    keep_frames(folder, tmp_path)
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "report.html")
    rows = data_of(page)["studies"]["fig2e"]["heard"]
    assert [row[0]["depths"] for row in rows] == [[1, 2, 3, 4, 5], [1, 3, 4, 5], [0]]
    assert {row[0]["mixture"] for row in rows} == {"m0000"}
    assert len({row[0]["sounds"]["mixture"] for row in rows}) == 1
    options = re.findall(r'<option value="(\d)">(\w+)<', page.read_text())
    assert options == [("0", "b"), ("1", "a"), ("2", "plain")]


def test_damaged_sound_costs_its_row_alone(study_folder, keep_frames, tmp_path):
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}).row("b", {1: 3.0, 3: 5.0})
    for row in ("a", "b"):
        place = next(folder.folder(row).glob("evaluations/*")) / "audio" / "m0000"
        keep(place, frequency=300.0)
    (place / "mixture.wav").write_bytes(b"RIFF")
    keep_frames(folder, tmp_path)
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "report.html").read_text()
    assert re.findall(r'<option value="\d">(\w+)<', page) == ["a"]


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


@pytest.mark.parametrize(
    ("studies", "message"),
    [
        ([], "holds no report: run `tisdiss run fig2e` and `tisdiss report fig2e` first"),
        (["fig9"], "holds no report of 'fig9': run `tisdiss run fig9`"),
    ],
)
def test_nothing_to_show_says_what_to_run(tmp_path, studies, message):
    with pytest.raises(ValueError, match=message):
        html_report(tmp_path, tmp_path, tmp_path / "report.html", studies)
    assert list(tmp_path.iterdir()) == []


class Browser:
    """A headless Chromium, spoken to over a pipe in its DevTools protocol."""

    def __init__(self, profile):
        (theirs_in, self.to), (self.back, theirs_out) = os.pipe(), os.pipe()

        def hand_over():
            os.dup2(theirs_in, 203), os.dup2(theirs_out, 204)
            os.dup2(203, 3), os.dup2(204, 4)

        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio"]
        command += ["--remote-debugging-pipe", "--autoplay-policy=no-user-gesture-required"]
        command += [f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            command,
            preexec_fn=hand_over,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in), os.close(theirs_out)
        self.left, self.count, self.session = b"", 0, {}
        (page,) = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = {"sessionId": attached["sessionId"]}
        self.errors = []
        self.ask("Runtime.enable")
        self.ask("Network.enable")

    def ask(self, method, **params):
        """Send a command and wait for its answer; what the page throws or fetches is noted."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params} | self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.left:
                read = os.read(self.back, 1 << 20)
                assert read, "the browser has gone"
                self.left += read
            one, _, self.left = self.left.partition(b"\0")
            answer = json.loads(one)
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(answer["params"])
            asked = answer.get("params", {}).get("request", {}).get("url", "")
            if asked.startswith("http"):
                self.errors.append(asked)
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, expression):
        """The value of JavaScript in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression):
        """Wait until JavaScript in the page is true."""
        for _ in range(600):
            if self.run(expression):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}")

    def open(self, path, width, height, mobile=False):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def press(self, key, code):
        """A key, as a person presses it."""
        what = {"key": key, "windowsVirtualKeyCode": code}
        what |= {"text": "\r"} if key == "Enter" else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **what)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **what)

    def click(self, selector):
        """The mouse on the middle of an element."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView("
            "{block: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        at = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.ask("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def picture(self, path):
        """What the window shows, as a PNG."""
        shown = self.ask("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(shown))

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.to), os.close(self.back)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


DRAWN = "(b => b.dataset.drawn === b.dataset.sound)(document.querySelector('.player'))"
SOUND = "document.querySelector('.player').dataset.sound"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "mobile"), [(390, True), (1280, False)])
def test_page_in_a_browser(made, browser, width, mobile, tmp_path):
    """Keys and mouse: the slider changes what is heard, a cell shows its run, a heading sorts."""
    browser.open(made, width, 900, mobile)
    browser.wait(DRAWN)
    assert browser.run(SOUND) == "re1_est1"
    browser.run("document.querySelector('.player input').focus()")
    browser.press("ArrowRight", 39)
    browser.wait(DRAWN)
    assert browser.run(SOUND) == "re3_est1"
    assert browser.run("document.querySelector('.player output').textContent") == "3"
    said = browser.run("document.querySelector('.player input').getAttribute('aria-valuetext')")
    assert said == "3 passes"
    assert browser.run("document.querySelector('canvas').width") == 28  # of 2000 samples
    for axis, marks in ((".seconds", "0|0.1|0.2 s"), (".khz", "0|1|2|3|4 kHz")):
        spans = f"[...document.querySelectorAll('{axis} span')].map(m => m.innerText).join('|')"
        assert browser.run(spans) == marks
    browser.run("document.querySelector('audio').play()")
    browser.wait("document.querySelector('audio').currentTime > 0")
    browser.click("button[data-signal=mixture]")
    assert browser.run(SOUND) == "mixture"
    assert browser.run("document.querySelector('.player input').disabled")
    browser.click("td[data-key='a.si_snri.re3']")
    origin = browser.run("document.getElementById('origin').innerText")
    for said in ("5.000 dB", "seed 0", "c0ffee", "data"):
        assert said in origin
    browser.press("Escape", 27)
    assert browser.run("document.getElementById('origin').hidden")
    browser.run("document.querySelector('.numbers th:nth-child(4) button').focus()")
    order = "[...document.querySelector('.numbers').tBodies[0].rows].map(r => r.cells[0].innerText)"
    for expected in (["<a> & co", "b"], ["b", "<a> & co"]):
        browser.press("Enter", 13)
        assert browser.run(order) == expected
    table = "document.querySelector('.scroll .numbers')"
    first = f"{table}.querySelector('td[data-key]').getBoundingClientRect()"
    label = f"{table}.querySelector('tbody td').getBoundingClientRect()"
    browser.run(f"{table}.scrollIntoView()")
    assert browser.run(f"{first}.left >= {label}.right && {first}.right <= {width}")
    browser.run(f"{table}.parentNode.scrollLeft = 1000")
    assert browser.run(f"{label}.left >= 0")  # the variant stays while scores scroll
    last = f"[...{table}.querySelectorAll('tbody td')].at(-1).getBoundingClientRect()"
    assert browser.run(f"{last}.right <= {width}")
    scrolls = browser.run(f"{table}.parentNode.scrollWidth > {table}.parentNode.clientWidth")
    assert scrolls == mobile  # ten depths fit on a desktop
    page = "document.documentElement"
    assert browser.run(f"{page}.scrollWidth - {page}.clientWidth") <= 0
    assert browser.errors == []
    browser.picture(tmp_path / "page.png")


@pytest.mark.slow
def test_another_variant_is_heard_on_the_same_mixture_at_the_nearest_depth(
    study_folder, keep_frames, browser, tmp_path
):
    depths = dict.fromkeys(range(1, 8), 3.0)
    folder = study_folder().row("a", depths).row("b", depths)
    for row in ("a", "b"):
        for mixture in ("m0000", "m0001"):
            place = next(folder.folder(row).glob("evaluations/*")) / "audio" / mixture
            keep(place, frequency=300.0, depths=depths)
    keep_frames(folder, tmp_path)
    browser.open(html_report(tmp_path, folder.runs_dir, tmp_path / "page.html"), 1280, 900)
    browser.wait(DRAWN)
    browser.click("button[data-mixture='1']")
    slider = "document.querySelector('.player input')"
    browser.run(f"{slider}.value = 5; {slider}.dispatchEvent(new Event('input'))")
    browser.wait(DRAWN)
    assert browser.run(SOUND) == "re6_est1"
    variant = "document.querySelector('.player select')"
    browser.run(f"{variant}.value = 1; {variant}.dispatchEvent(new Event('change'))")
    browser.wait(DRAWN)
    assert browser.run(SOUND) == "re7_est1"  # it is heard at 1, 3 and 7
    said = browser.run("document.querySelector('.heard').innerText")
    assert said.startswith("m0001: SI-SNRi at N_re = 7: ")
    assert browser.errors == []


@pytest.mark.slow
def test_whatever_can_be_used_has_a_name(made, browser):
    """For screen readers: controls and pictures in the accessibility tree are named."""
    browser.open(made, 1280, 900)
    tree = browser.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "img", "image", "link", "Audio"}
    there = [node for node in tree if node.get("role", {}).get("value") in roles]
    unnamed = [node for node in there if not node.get("ignored") and not node["name"].get("value")]
    assert len(there) > 12
    assert [node["role"]["value"] for node in unnamed if node["role"]["value"] != "Audio"] == []
