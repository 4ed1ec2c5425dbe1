"""One command for a borrowed GPU: check parity, time a training step, then train until time is up.

    python scripts/gpu_run.py --out OUT --speech SPEECH --minutes 25 fig2a

All results are in OUT: parity.md, speed.md (training steps by precision), benchmarks/, the reports
of the studies with real-time factors, and runs.tar.gz (configs, journals, weights and scores of
every run; training states too if they fit). Interrupted runs resume if OUT has its runs folder.
`--dry-run` does the same, without benchmarks/, on a CPU at profile smoke.
"""

import argparse
import sys
import tarfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "parity"), str(ROOT / "benchmarks")]

import bench
import measure
import steps

from tisdiss.analysis.inventory import write_own
from tisdiss.analysis.report import report
from tisdiss.harness.corpora import Corpora
from tisdiss.harness.planner import plan
from tisdiss.harness.run import run as run_plan
from tisdiss.harness.runner import Runner
from tisdiss.harness.timing import Timing, time_plan
from tisdiss.machine.device import set_precision
from tisdiss.released import tisdiss as espnet
from tisdiss.study.load import find_studies


def parity(device: str) -> str:
    """A table of the largest deviation of float32 on the device from float64, per golden file."""
    set_precision("float32")
    lines = ["| file | deviation from float64, relative to the peak |", "|---|---|"]
    for path in measure.golden_files():
        meta, golden = measure.read(path)
        model = espnet.build(meta)
        weights = {k.removeprefix("sd/"): v for k, v in golden.items() if k.startswith("sd/")}
        espnet.load(model, weights)
        mixture = torch.as_tensor(golden["mix"])
        lengths = torch.as_tensor(golden["lens"])
        with torch.inference_mode():
            float32 = model.to(device).all_depths(mixture.to(device), lengths.to(device)).cpu()
            float64 = model.to("cpu").double().all_depths(mixture.double(), lengths)
        deviation = (float32.double() - float64).abs().max() / float64.abs().max()
        lines.append(f"| {path.stem} | {deviation:.1e} |")
    return "\n".join(lines) + "\n"


def step_times(device: str) -> str:
    """A table of training steps in each precision and in the plain form; small on a CPU."""
    size = {"width": 8, "seconds": 0.25, "batches": (1, 2)} if device == "cpu" else {}
    return "\n".join(steps.markdown(steps.measure(device, **size), device_name(device)))


def pack(runs: Path, target: Path, limit_bytes: int) -> None:
    """Pack the runs; training states only while the archive stays below the limit."""
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(p for p in runs.rglob("*") if p.is_file()):
            state = path.parent.name == "checkpoints"
            if not state or target.stat().st_size + path.stat().st_size < limit_bytes:
                archive.add(path, path.relative_to(runs.parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--profile", default="lab")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    start = time.monotonic()
    device, profile = ("cpu", "smoke") if options.dry_run else (options.device, options.profile)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in (("parity.md", parity(device)), ("speed.md", step_times(device))):
        write_own(options.out, {name: f"{torch.__version__}, {device_name(device)}\n\n{text}"})
        print(text, flush=True)
    if not options.dry_run:
        bench.write_report(device, options.out / "benchmarks", budget=8.0)
    corpora = Corpora(cache=options.out / "cache", speech=options.speech)
    for study in options.studies:
        runs = options.out / "runs"
        planned = plan(find_studies([study], ROOT / "studies"), profile, runs_dir=runs,
                       corpora=corpora, seeds=options.seed, root=ROOT)  # fmt: skip
        for number, single in enumerate(planned.todo):
            left = options.minutes * 60 - (time.monotonic() - start)
            share = max(0.0, left) / (len(planned.todo) - number)
            runner = Runner(runs_dir=runs, root=ROOT, corpora=corpora, device=device,
                            max_seconds=share)  # fmt: skip
            run_plan(planned.model_copy(update={"runs": (single,)}), runner=runner, track=False)
            pack(runs, options.out / "runs.tar.gz", 14 * 2**20)
        time_plan(planned, runs, Timing(device=device))
        try:
            report(study, profile, runs, options.out / "reports")
        except ValueError as error:
            print(f"{study}: no report yet ({error})", flush=True)


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else "CPU"


if __name__ == "__main__":
    main()
