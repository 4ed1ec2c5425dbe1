"""A run of a tree with uncommitted changes is made again: clone, patch, uv, training, scores.

uv takes the packages from its cache or the network.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tisdiss.records.revision import PACKAGE, git_revision

STUDY = """\
study: tiny
title: Is it the same?
claim: It is.
base: sep1x1-re1x1-l1+1
rows:
  - {id: a, set: {epochs: 1, steps_per_epoch: 2}}
evaluate: {n_re: [1]}
show: {figure: depth_curve}
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--here"], []])
def test_a_run_of_a_changed_tree_comes_back_bit_by_bit(tmp_path, options):
    if git_revision().commit is None or shutil.which("uv") is None:
        pytest.skip("needs a checkout and uv")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", PACKAGE.parent, clone], check=True)
    train = clone / "tisdiss" / "train.py"
    train.write_text(train.read_text().replace("SAVE_SECONDS = 60.0", "SAVE_SECONDS = 61.0"))
    (clone / "tisdiss" / "added.py").write_text("added = 1\n")
    (tmp_path / "tiny.yaml").write_text(STUDY)

    def tisdiss(*words):
        line = [sys.executable, "-P", "-m", "tisdiss", *words]
        environment = os.environ | {"PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    tisdiss("run", "tiny.yaml", "--profile", "smoke", "--no-track", "--threads", "1")
    (folder,) = (tmp_path / "runs").glob("?" * 10)
    subprocess.run(["git", "checkout", "-q", "."], cwd=clone, check=True)
    (clone / "tisdiss" / "added.py").unlink()
    result = json.loads(tisdiss("reproduce", folder.name, "--json", *options))
    assert (result["verdict"], result["causes"], result["notes"]) == ("equal", [], [])
    assert [each["equal"] for each in result["agreements"]] == [True, True]
    assert ".patch" in result["code"]
    assert not (tmp_path / "build" / "reproduce" / folder.name).exists()
