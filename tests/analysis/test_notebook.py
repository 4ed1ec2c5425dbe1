"""A study as a notebook: its source, and the same file from every execution."""

import gc
import json

import psutil
import pytest
import zmq

from tisdiss.analysis.notebook import notebook_file, source
from tisdiss.analysis.report import study_files
from tisdiss.analysis.results import results_of


def test_notebook_names_its_study_and_no_machine(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    made = source(folder.study)
    text = "\n".join(cell["source"] for cell in made["cells"])
    assert text.startswith("# fig2e: Does deeper training scale further?")
    assert "results_in(Path())" in text and str(folder.runs_dir) not in text
    for cell in made["cells"]:
        if cell["cell_type"] == "code":
            compile(cell["source"], cell["id"], "exec")


@pytest.mark.slow
def test_executed_notebook_is_the_same_bytes_again(study_folder, tmp_path):
    folder = study_folder().row("a", {1: 3.0, 3: 5.0})
    results = results_of("fig2e", "mini", folder.runs_dir)
    files = study_files(results)
    first, again = (notebook_file(results.plan, files) for _ in range(2))
    assert first == again
    assert left_open() == [] and psutil.Process().children(recursive=True) == []
    assert "/tmp" not in first and str(tmp_path.parent) not in first
    cells = [cell for cell in json.loads(first)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] for cell in cells)
    shown = "".join(
        "".join(out.get("data", {}).get("text/plain", "")) for out in cells[2]["outputs"]
    )
    assert "3.0" in shown and "5.0" in shown  # the means that the runs have


@pytest.mark.slow
def test_notebook_with_an_error_leaves_no_kernel_and_no_socket(study_folder, monkeypatch):
    folder = study_folder().row("a", {1: 3.0})
    results = results_of("fig2e", "mini", folder.runs_dir)
    monkeypatch.setattr("tisdiss.analysis.notebook._CELLS", (("code", "1 / 0"),))
    with pytest.raises(Exception, match="ZeroDivisionError"):
        notebook_file(results.plan, study_files(results))
    assert left_open() == [] and psutil.Process().children(recursive=True) == []


def left_open():
    """Sockets to kernels that nothing closed: warnings of whichever test runs next."""
    sockets = [thing for thing in gc.get_objects() if issubclass(type(thing), zmq.Socket)]
    return [socket for socket in sockets if not socket.closed]
