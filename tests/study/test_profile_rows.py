"""Settings of single rows of a study at one profile."""

import pytest

from tisdiss.records.problems import DocumentError
from tisdiss.study.load import load_study
from tisdiss.study.resolve import resolve_training


def test_a_profile_may_size_single_rows(write_study):
    more = "profiles: {cpu: {rows: {b: {model.block.channels: 24, epochs: 5}}}}\n"
    rows = ["{id: a}", "{id: b, set: {model.n_re: 2, epochs: 4}}"]
    study = load_study(write_study(rows, more=more))

    def sizes(row, profile):
        config = resolve_training(study, study.row(row), study.at(profile), seed=0)
        return config.model.block.channels, config.model.n_re, config.epochs

    assert sizes("a", "cpu") == (16, 3, 3)
    assert sizes("b", "cpu") == (24, 2, 5)
    assert sizes("b", "mini") == (16, 2, 4)
    assert "rows" not in study.at("mini").model_dump() and "rows" in study.at("cpu").model_dump()


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("{bb: {epochs: 1}}", "'bb': no such row; "),
        ("{b: {epoch: 1}}", "9:29: 'epoch': unknown setting; nearest valid name: 'epochs'"),
        ("{b: {epochs: 0}}", "9:37: 0: epochs: must be greater than or equal to 1"),
        ("{b: {model.block.n_heads: 3}}", "attention_dim=16 must be a multiple of twice n_heads=3"),
    ],
)
def test_mistakes_in_the_rows_of_a_profile(write_study, rows, line):
    path = write_study(["{id: b}"], more=f"profiles: {{cpu: {{rows: {rows}}}}}\n")
    with pytest.raises(DocumentError) as caught:
        load_study(path)
    assert line in "\n".join(caught.value.lines)
