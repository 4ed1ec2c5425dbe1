"""The use of the machine in a run's journal."""

import psutil
import torch

from tisdiss.harness import usage
from tisdiss.harness.usage import Usage

BEFORE = {"kind": "train", "step": 7, "epoch": 2, "metrics": {}}


def test_a_sample_has_the_names_of_mlflow_and_the_place_of_the_training(tmp_path):
    event = Usage(tmp_path, "cpu", seconds=0).event(BEFORE)
    assert (event["kind"], event["step"], event["epoch"]) == ("system", 7, 2)
    metrics = event["metrics"]
    assert set(metrics) == {
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_megabytes",
        "system/system_memory_usage_percentage",
        "system/disk_usage_percentage",
        "system/disk_available_megabytes",
    }
    used = metrics["system/system_memory_usage_megabytes"]
    assert 0 < used < psutil.virtual_memory().total / 1e6
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100


def test_samples_keep_their_distance(tmp_path):
    sampler = Usage(tmp_path, "cpu", seconds=3600)
    assert sampler.event(BEFORE) is None
    sampler.last -= 3600
    assert sampler.event(BEFORE) and sampler.event(BEFORE) is None


def test_what_a_system_lacks_is_left_out(tmp_path, monkeypatch):
    def lacks():
        raise FileNotFoundError("/proc/stat")

    monkeypatch.setattr(usage.psutil, "cpu_percent", lacks)
    metrics = Usage(tmp_path / "gone", "cpu", seconds=0).sample()
    assert set(metrics) == {
        "system/system_memory_usage_megabytes",
        "system/system_memory_usage_percentage",
    }


def test_a_run_on_a_gpu_tells_its_memory_and_without_nvml_nothing_more(tmp_path, monkeypatch):
    def no_nvml(gpu):
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: (60e9, 80e9))
    monkeypatch.setattr(torch.cuda, "utilization", no_nvml)
    metrics = Usage(tmp_path, "cuda:1", seconds=0).sample()
    assert {name: value for name, value in metrics.items() if "gpu" in name} == {
        "system/gpu_1_memory_usage_megabytes": 20000.0,
        "system/gpu_1_memory_usage_percentage": 25.0,
    }
