"""A study as a notebook: readable before, executed and stable after."""

import json

import pytest

from analysis.notebook import notebook_file, source


def test_notebook_names_its_study_and_no_machine(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    made = source(folder.plan, "../../runs")
    text = "\n".join(cell["source"] for cell in made["cells"])
    assert text.startswith("# fig2e: Does deeper training scale further?")
    assert "results_of('fig2e', 'mini', Path('../../runs'))" in text
    for cell in made["cells"]:
        if cell["cell_type"] == "code":
            compile(cell["source"], cell["id"], "exec")


@pytest.mark.slow
def test_executed_notebook_is_the_same_bytes_again(study_folder, tmp_path):
    folder = study_folder().row("a", {1: 3.0, 3: 5.0})
    first, again = (notebook_file(folder.plan, folder.runs_dir, tmp_path / "x") for _ in range(2))
    assert first == again
    assert str(tmp_path.parent) not in first
    outputs = [cell.get("outputs") for cell in json.loads(first)["cells"]]
    assert sum(bool(output) for output in outputs) == 6
