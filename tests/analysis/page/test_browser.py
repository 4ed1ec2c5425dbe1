"""The page in a real browser: keys, mouse, sounds and names for screen readers."""

import pytest

from tisdiss.analysis.page import html_report

DRAWN = "(b => b.dataset.drawn === b.dataset.sound)(document.querySelector('.player'))"
SOUND = "document.querySelector('.player').dataset.sound"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "mobile"), [(390, True), (1280, False)])
def test_page_in_a_browser(made, browser, width, mobile, tmp_path):
    """Keys and mouse: the slider changes what is heard, a cell shows its run, a heading sorts."""
    browser.open(made.as_uri(), width, 900, mobile)
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
    assert browser.errors == browser.fetched == []
    browser.picture(tmp_path / "page.png")


@pytest.mark.slow
def test_another_variant_is_heard_on_the_same_mixture_at_the_nearest_depth(
    study_folder, keep_frames, browser, tmp_path, keep
):
    depths = dict.fromkeys(range(1, 8), 3.0)
    folder = study_folder().row("a", depths).row("b", depths)
    for row in ("a", "b"):
        for mixture in ("m0000", "m0001"):
            place = next(folder.folder(row).glob("evaluations/*")) / "audio" / mixture
            keep(place, frequency=300.0, depths=depths)
    keep_frames(folder, tmp_path)
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "page.html")
    browser.open(page.as_uri(), 1280, 900)
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
    assert browser.errors == browser.fetched == []


@pytest.mark.slow
def test_whatever_can_be_used_has_a_name(made, browser):
    """For screen readers: controls and pictures in the accessibility tree are named."""
    browser.open(made.as_uri(), 1280, 900)
    tree = browser.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "img", "image", "link", "Audio"}
    there = [node for node in tree if node.get("role", {}).get("value") in roles]
    unnamed = [node for node in there if not node.get("ignored") and not node["name"].get("value")]
    assert len(there) > 12
    assert [node["role"]["value"] for node in unnamed if node["role"]["value"] != "Audio"] == []
