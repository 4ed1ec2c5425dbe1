r"""Numbers for running text: `\tisdiss{table3:l3:si_snri}` prints the number of the table.

Every score, size and verdict of a study has a name, the same as in `provenance.why`. A number with
missing runs prints as missing. A name that does not exist stops LaTeX.
"""

from collections.abc import Iterator

from tisdiss.analysis.latex import escape_tex
from tisdiss.analysis.results import Results
from tisdiss.analysis.tables import MISSING, fixed, in_millions

HEAD = r"""% Made by `tisdiss report {study} --profile {profile}`: change the study, not this file.
% In running text: \tisdiss{{{study}:<row>:si_snri.re3}}; without .re, at the trained depth;
% with .low or .high, an end of the interval. \tisdiss{{{study}:<row>:params}} is in millions;
% \tisdiss{{{study}:claim:<id>}} is a verdict.
\providecommand{{\tisdissnumber}}[2]{{\expandafter\gdef\csname tisdiss:#1\endcsname{{#2}}}}
\providecommand{{\tisdiss}}[1]{{\ifcsname tisdiss:#1\endcsname\csname tisdiss:#1\endcsname%
  \else\errmessage{{there is no number #1}}\fi}}
"""


def numbers_tex(results: Results) -> str:
    """The content of numbers.tex, to \\input before the text that uses its numbers."""
    plan = results.plan
    head = HEAD.format(study=plan.study, profile=plan.profile)
    lines = [
        rf"\tisdissnumber{{{plan.study}:{name}}}{{{escape_tex(text)}}}"
        for name, text in named_numbers(results)
    ]
    return head + "\n".join(lines) + "\n"


def named_numbers(results: Results) -> Iterator[tuple[str, str]]:
    """Every name, without the study, and the text that it prints."""
    for row in results.plan.rows:
        if row.params is not None:
            yield f"{row.id}:params", in_millions(row.params / 1e6) or MISSING
        for metric, curve in results.curves.items():
            lines = curve[curve["row"] == row.id].to_dict("records")
            if not lines or row.is_torn:
                yield f"{row.id}:{metric}", MISSING
                continue
            for line in lines:
                name = f"{row.id}:{metric}"
                printed = [(f"{name}.re{line['n_re']}", line["mean"])]
                if line["n_re"] == row.n_re_train:
                    printed.append((name, line["mean"]))
                for key, value in printed:
                    yield key, fixed(value) or MISSING
                    for end in ("low", "high"):
                        if fixed(line[end]):
                            yield f"{key}.{end}", fixed(line[end]) or MISSING
    for verdict in results.verdicts:
        yield f"claim:{verdict.id}", verdict.status
