"""From run folders to tables, figures and a page: frames -> stats -> results -> output.

Only `frames` and `sounds` read runs; only `report`, `page` and `proof_sheet` write files. All other
modules take frames and return objects, so each step can be called alone in a notebook. Nothing here
imports torch.

    frames, stats, breakdown     runs -> scores -> means with intervals
    claims                       claims of a study -> PASS, FAIL, UNDECIDED, MISSING and so on
    results                      frames, curves and verdicts of one study, each computed once
    tables, comparison, latex    depth tables; the paper's Tables 1 to 3; text escaped for LaTeX
    figures, extra_figures       curves over N_re; cost, difficulty, change per pass
    spread_figure               scores of all mixtures
    figure2                      Fig. 2 with its eight panels
    fonts                        installed fonts for letters that the paper's fonts lack
    places, cell                 paths of plans and reports; names of numbers in a report
    numbers, provenance          every number by name; its runs, data and code
    report, notebook, page       a folder per study; the same as a notebook; one HTML page for all
    inventory                    the list of our files in a folder; no other files are changed
    proof_sheet                  all tables and figures in one PDF, if TeX is installed
"""
