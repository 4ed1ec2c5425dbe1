"""The plots of the benchmark have the style of all figures; the user's files stay."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import show

ROWS = [
    {"what": "N_re = 1..10", "goal": "3x", "ratio": 4.0},
    {"what": "SDR", "goal": "60x", "ratio": 20.9},
    {"what": "near", "goal": "2x", "ratio": 1.9},
]
GROWTH = {"n_re": {"values": [1, 2], "seconds": [1.0, 2.0], "exponent": 1, "last_exponent": 1}}


def test_the_number_stands_at_its_bar_and_beside_the_goal_only_where_they_touch():
    (axes,) = show.ratios(ROWS).axes
    assert [(text.get_text(), text.xy[0]) for text in axes.texts] == [
        ("4.0x", 4.0),
        ("20.9x", 20.9),
        ("1.9x", 2.0),
    ]


def test_plots_have_no_type_3_fonts_and_what_is_not_ours_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(show, "markdown", lambda found: "# Benchmarks\n")
    (tmp_path / "LOG.md").write_text("by hand")
    found = {"rows": ROWS, "growth": GROWTH}
    for _ in range(2):
        show.write(found, tmp_path)
    for name in ("ratios.pdf", "growth.pdf"):
        assert b"/Type0" in (tmp_path / name).read_bytes()
        assert b"/Type3" not in (tmp_path / name).read_bytes()
    assert (tmp_path / "LOG.md").read_text() == "by hand"
    (tmp_path / "README.md").write_text("by hand")
    with pytest.raises(ValueError, match=r"README\.md was edited since"):
        show.write(found, tmp_path)
