"""The report of `bench.py`: tables and plots."""

import json
from pathlib import Path

import steps
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from tisdiss.analysis.canvas import render, style
from tisdiss.analysis.captions import escape_figure
from tisdiss.analysis.inventory import write_own

FORMATS = ("pdf", "png")
LABELS = {
    "seconds": "audio (s)",
    "width": "channels",
    "n_re": "N_re",
    "batch": "batch",
    "n_src": "speakers",
}

GROWTH = (
    "One axis at a time varies from a pass of our code with 8 channels, 1 s, N_re = 3, 33 bands "
    "(STFT 256/128) and two speakers. The overhead of calls dominates at small sizes, so the last "
    "three points are more informative."
)


def write(found: dict, folder: Path, *, force: bool = False) -> None:
    """Write bench.json, README.md and the plots; `inventory.write_own` keeps the user's files."""
    files = {"bench.json": json.dumps(found, indent=1) + "\n", "README.md": markdown(found)}
    plots = {"ratios": ratios(found["rows"])}
    if found["growth"]:
        plots["growth"] = curves(found["growth"])
    for name, figure in plots.items():
        files |= {f"{name}.{form}": data for form, data in render(figure, FORMATS).items()}
    write_own(folder, files, force=force)


def markdown(found: dict) -> str:
    """The whole report as text."""
    machine, floor = found["machine"], found["floor"]
    lines = [
        "# Benchmarks",
        "",
        f"{machine['name']}, {machine['device']}, {machine['threads']} thread(s), torch "
        f"{machine['torch']}, numpy {machine['numpy']}, python {machine['python']}, load "
        f"{machine['load']:.1f}; {machine['time']}, medians of interleaved repeats. The reference "
        "is `benchmarks/reference.py`; tests check that its outputs equal the model's. On a CPU "
        "each runs in its own process, ours with the allocator setting of the `tisdiss` command. "
        "Spread: largest minus smallest repeat, over the median.",
        "",
        "| what | reference (s) | ours (s) | ratio | goal | spread | repeats |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['what']} | {row['reference']:.3g} | {row['ours']:.3g} | {row['ratio']:.2f}x | "
        f"{row['goal']} | {_spread(row)} | {row['repeats']} |"
        for row in found["rows"]
    ]
    ours = found["rows"][0]["ours"]
    lines += [
        "",
        f"Lower bound at 128 channels, 1 s: {floor['flop'] / 1e9:.0f} GFLOP at "
        f"{floor['flop_per_second'] / 1e9:.0f} GFLOP/s = {floor['seconds']:.2f} s; ours takes "
        f"{ours / floor['seconds']:.2f}x that.",
        "",
    ]
    sections = (
        _agreement(found["agreement"]),
        _recompute(found["recompute"]),
        _memory(found),
        _steps(found),
        _loading(found),
        _growth(found),
    )
    return "\n".join(lines + [line for section in sections for line in section])


def _spread(row: dict) -> str:
    return f"{row['spread']:.0%}" if row["repeats"] > 1 else "-"


def _agreement(found: list[dict]) -> list[str]:
    lines = [
        "Does the reference cost as much as the released code? The released code was timed on "
        "another machine, but these costs do not depend on the machine:",
        "",
        "| what | unit | released code | reference | difference | ours |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['what']} | {row['unit']} | {row['released']:.4g} | {row['reference']:.4g} | "
        f"{row['reference'] / row['released'] - 1:+.1%} | {row['ours']:.4g} |"
        for row in found
    ]
    return [*lines, ""]


def _recompute(found: dict) -> list[str]:
    saved, seconds = found["saved_bytes"], found["seconds"]
    return [
        f"Recomputing activations (32 channels, 1 s): saved tensors {saved['again'] / 1e6:.0f} MB "
        f"against {saved['kept'] / 1e6:.0f} MB (reference "
        f"{saved['reference'] / 1e6:.0f} MB, {saved['reference'] / saved['again']:.0f}x as much); "
        f"a step takes {seconds['again']:.3g} s "
        f"against {seconds['kept']:.3g} s (reference {seconds['reference']:.3g} s, "
        f"{seconds['reference'] / seconds['again']:.2f}x ours).",
        "",
    ]


def _memory(found: dict) -> list[str]:
    if not found.get("memory"):
        return []
    lines = [
        "| extra peak memory of inference: channels x seconds | reference (MB) | ours (MB) | ours "
        "/ reference | goal |",
        "|---|---|---|---|---|",
    ]
    for row in found["memory"]:
        reference, share = "-", "-"
        if "reference" in row:
            reference = f"{row['reference'] / 1e6:.0f}"
            share = f"1/{row['reference'] / row['ours']:.1f}"
        ours = f"{row['ours'] / 1e6:.0f}"
        lines.append(f"| {row['case']} | {reference} | {ours} | {share} | {row['goal']} |")
    return [*lines, ""]


def _steps(found: dict) -> list[str]:
    rows = found.get("steps")
    return steps.markdown(rows, found["machine"]["name"]) if rows else []


def _loading(found: dict) -> list[str]:
    fixed, dynamic = (found["loading"][kind] for kind in ("fixed", "dynamic"))
    return [
        f"A worker loads {fixed:.0f} examples (4 s, two speakers) per second of processor time, "
        f"or {dynamic:.0f} with dynamic mixing.",
        "",
    ]


def _growth(found: dict) -> list[str]:
    if not found["growth"]:
        return []
    lines = [
        f"Cost grows with {LABELS[axis]} to the power {curve['exponent']:.2f} "
        f"(last three points: {curve['last_exponent']:.2f})."
        for axis, curve in found["growth"].items()
    ]
    return [line + "\n" for line in [GROWTH, *lines, "![How cost grows](growth.png)"]]


def ratios(rows: list[dict]) -> Figure:
    """Bars of the time ratio reference / ours, with a tick at the goal and the ratio in digits."""
    with style():
        figure = Figure(figsize=(7, 3.2))
        axes = figure.subplots()
        names = [escape_figure(row["what"]) for row in rows]
        axes.barh(names, [row["ratio"] for row in rows], color="#4477aa")
        for i, row in enumerate(rows):
            goal = float(row["goal"].rstrip("x"))
            axes.plot([goal, goal], [i - 0.4, i + 0.4], color="#cc3311", lw=2)
            axes.annotate(
                f"{row['ratio']:.1f}x",
                (_beside(row["ratio"], goal), i),
                (3, 0),
                textcoords="offset points",
                va="center",
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(1, 2 * max(max(row["ratio"], float(row["goal"].rstrip("x"))) for row in rows))
        axes.invert_yaxis()
        axes.grid(False, axis="y")
        axes.set_xlabel("speed relative to the plain reference (red: goal)")
    return figure


def _beside(ratio: float, goal: float) -> float:
    """The position of a bar's number: the end of the bar, or the goal if that would overlap."""
    return goal if ratio < goal < 1.4 * ratio else ratio


def curves(growth: dict[str, dict]) -> Figure:
    """Seconds against each axis on logarithmic scales, with the exponents in the titles."""
    with style():
        figure = Figure(figsize=(12, 2.8))
        all_axes = figure.subplots(1, len(growth), sharey=True, squeeze=False)[0]
        for axes, (name, curve) in zip(all_axes, growth.items(), strict=True):
            axes.loglog(curve["values"], curve["seconds"], "o-", color="#4477aa")
            axes.set_xlabel(escape_figure(LABELS[name]))
            axes.set_title(
                f"~ power {curve['exponent']:.2f}, end {curve['last_exponent']:.2f}", fontsize=9
            )
            axes.set_xticks(curve["values"], [f"{value:g}" for value in curve["values"]])
            axes.minorticks_off()
        all_axes[0].set_ylabel("seconds")
    return figure
