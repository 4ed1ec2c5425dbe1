"""Files from elsewhere: refused with a message, and nothing in them is executed."""

import hashlib
import io
import os
import pickle
import zipfile

import pytest
import torch

from tisdiss.checkpoint import load_model, load_state, save_state
from tisdiss.harness.slurm_jobs import load_settings
from tisdiss.study.load import load_study
from tisdiss.study.search_file import load_search

DOCUMENTS = {
    "tag": "study: !!python/object/apply:os.system ['touch {flag}']\n",
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
    "huge": "study: x\ntitle: '" + "x" * 3_000_000 + "'\n",
    "deep": "a: " + "[" * 5000 + "]" * 5000 + "\n",
    "binary": "\0\x01\x02",
    "list": "- 1\n- 2\n",
}


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return (os.system, (f"touch {self.flag}",))


@pytest.mark.drill("R17")
@pytest.mark.parametrize("load", [load_study, load_search, load_settings])
def test_hostile_documents_are_refused(load, tmp_path, figure):
    flag = tmp_path / "executed"
    for name, text in DOCUMENTS.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text.replace("{flag}", str(flag)))
        with pytest.raises(ValueError, match=r"\.yaml"):
            load(path)
    assert not flag.exists()
    figure(f"{len(DOCUMENTS)} documents refused by each of 3 readers")


@pytest.mark.drill("R17")
def test_hostile_checkpoints_are_refused(tmp_path, figure):
    """Even one with the right hash: whoever can write a state can write its hash."""
    flag = tmp_path / "executed"
    model = tmp_path / "model.safetensors"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../outside", "x")
    bodies = [
        pickle.dumps(Evil(flag)),
        archive.getvalue(),
        b"\xff" * 8 + b"{}",
        (2**40).to_bytes(8, "little") + b"{}",
        b"",
    ]
    for body in bodies:
        model.write_bytes(body)
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            load_model(model)
    save_state(tmp_path, 1, {"step": 1})
    state = tmp_path / "state-00000001.pt"
    torch.save({"step": Evil(flag)}, state)

    state.with_suffix(".sha256").write_text(hashlib.sha256(state.read_bytes()).hexdigest())
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        load_state(tmp_path)
    assert not flag.exists() and not (tmp_path.parent / "outside").exists()
    figure(f"{len(bodies) + 1} checkpoints refused, nothing executed")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("partition: 'gpu; rm -rf /'", "must match pattern"),
        ("partition: --wrap=evil", "must match pattern"),
        ("minutes: '60'", "must be a valid integer"),
        ("minutes: 0", "must be greater than or equal to 1"),
        ("partitions: gpu", "unknown key; nearest valid name: 'partition'"),
    ],
)
def test_slurm_settings_are_words_and_counts(tmp_path, line, message):
    path = tmp_path / "slurm.yaml"
    path.write_text(f"account: lab\n{line}\n")
    with pytest.raises(ValueError, match=rf"slurm.yaml:2:.*{message}"):
        load_settings(path)


def test_slurm_settings_have_defaults(tmp_path):
    path = tmp_path / "slurm.yaml"
    path.write_text("partition: gpu\ngpus: 1\nminutes: 90\n")
    settings = load_settings(path)
    assert (settings.partition, settings.gpus, settings.minutes, settings.account) == (
        *("gpu", 1, 90, None),
    )
