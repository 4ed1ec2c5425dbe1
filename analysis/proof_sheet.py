"""A proof sheet: every table and figure of `reports/` compiled into one PDF, with all problems.

Only this module needs TeX, with pdflatex, booktabs, siunitx and multirow (Debian:
texlive-latex-recommended, texlive-latex-extra and texlive-science).
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tisdiss.analysis.inventory import write_own
from tisdiss.analysis.latex import escape_tex

_HEAD = r"""\documentclass[10pt]{article}
\usepackage[letterpaper,textwidth=7in,textheight=9.5in]{geometry}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}\usepackage[T1]{fontenc}}{}
\IfFileExists{type1ec.sty}{\IfFileExists{t2aenc.def}{\usepackage[T2A,T1]{fontenc}}{}}{}
\usepackage{booktabs,siunitx,multirow,graphicx}
\setcounter{topnumber}{20}\setcounter{totalnumber}{20}
\renewcommand{\topfraction}{.95}\renewcommand{\textfraction}{.05}
\renewcommand{\floatpagefraction}{.9}
\setlength{\parindent}{0pt}
\begin{document}
"""
_MATTERS = re.compile(
    r"^(?:!.*|.*Undefined.*|(?:Over|Under)full \\hbox.*|Missing character.*|"
    r"(?:LaTeX|Package \w+) Warning:.*)$"
)
_HARMLESS = re.compile(r"Underfull|float specifier changed|Rerun|There were multiply-defined")
_OVERFULL = re.compile(r"Overfull \\hbox \((\d+\.\d+)pt too wide\)")
_TOLERATED_PT = 1.0
_MAX_SECONDS = 120
_LINE = 1000
"""Length at which TeX breaks lines of its log; its default is 79."""


def check_tex_pdf(reports: Path, out: Path, *, force: bool = False) -> list[str]:
    """Compile `out` from every table, figure and numbers.tex below `reports`.

    Returns one message per problem: errors, missing glyphs or references, and boxes more than 1 pt
    too wide. Raises ValueError without TeX, if there is nothing to compile, or if it takes too
    long.
    """
    if shutil.which("pdflatex") is None:
        raise ValueError(
            "no pdflatex: install a TeX (Debian: texlive-latex-recommended texlive-latex-extra "
            "texlive-science); without one, `make test` still checks every table"
        )
    source = proof_source(Path(reports))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "proof.tex").write_text(source, encoding="utf-8")
        for _ in range(2):  # the second pass knows the references
            _run(work)
        problems = log_problems((work / "proof.log").read_text(encoding="utf-8", errors="replace"))
        pdf = work / "proof.pdf"
        if pdf.is_file():
            write_own(out.parent, {out.name: pdf.read_bytes()}, force=force)
    return problems


def proof_source(reports: Path) -> str:
    """The LaTeX document with everything below `reports`."""
    folders = sorted(path for path in reports.iterdir() if path.is_dir())
    body = [part for folder in folders for part in _parts(folder.resolve())]
    if not body:
        raise ValueError(f"{reports} holds no table or figure: run `tisdiss report` first")
    return _HEAD + "\n".join(body) + "\n\\end{document}\n"


def log_problems(log: str) -> list[str]:
    """The relevant messages in the log of a compilation, each once."""
    lines = [line.strip() for line in log.splitlines() if _MATTERS.match(line)]
    lines = [line for line in lines if not _HARMLESS.search(line)]
    wide = (line for line in lines if not _is_narrow(line))
    return list(dict.fromkeys(wide))


def _is_narrow(line: str) -> bool:
    measured = _OVERFULL.search(line)
    return measured is not None and float(measured[1]) <= _TOLERATED_PT


def _parts(folder: Path) -> list[str]:
    """The inputs of one study's folder; paths are absolute, because TeX runs in another folder."""
    study = folder.name
    parts = [rf"\input{{{path}}}" for path in sorted(folder.glob("numbers.tex"))]
    parts += [rf"\input{{{path}}}" for path in sorted(folder.glob("*.tex")) if _is_table(path)]
    parts += [_figure(path) for path in sorted(folder.glob(f"{study}*.pdf"), key=_is_wide)]
    return [*parts, r"\clearpage"] if parts else []


def _figure(path: Path) -> str:
    """A figure at its own size with its name below; two figures of one column fit side by side."""
    width = "7in" if _is_wide(path) else "3.39in"
    return (
        rf"\begin{{minipage}}[b]{{{width}}}\includegraphics{{{path}}}\\"
        rf"\footnotesize {escape_tex(path.stem)}\end{{minipage}}\hfill\allowbreak"
    )


def _is_table(path: Path) -> bool:
    return path.name in ("table.tex", "depth.tex")


def _is_wide(path: Path) -> bool:
    """Whether a figure is wider than a column, by the size of its first page."""
    box = re.search(rb"/MediaBox \[ ?0 0 (\d+(?:\.\d+)?) ", path.read_bytes())
    return box is not None and float(box[1]) > 300


def _run(work: Path) -> None:
    command = ["pdflatex", "-interaction=nonstopmode", "-no-shell-escape", "proof.tex"]
    try:
        subprocess.run(
            command,
            cwd=work,
            capture_output=True,
            timeout=_MAX_SECONDS,
            env={"PATH": _path(), "max_print_line": str(_LINE), "HOME": str(work)},
            check=False,  # the log has the errors
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(
            f"pdflatex took over {_MAX_SECONDS} s; name a folder with fewer reports (--reports)"
        ) from error


def _path() -> str:
    program = shutil.which("pdflatex")
    assert program is not None
    return f"{Path(program).parent}:/usr/bin:/bin"
