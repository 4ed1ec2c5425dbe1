"""From run folders to tables, figures and a page: frames -> stats -> results -> what is shown.

Only `frames` (and `sounds`) reads runs; only `report`, `page` and `proof_sheet` write files.
Everything between takes frames and returns objects, so each step can be called alone in a notebook.
Nothing here imports torch.

    frames, stats, breakdown     runs -> scores -> means with intervals
    claims                       the paper's sentences -> PASS, FAIL, UNDECIDED, MISSING and so on
    results                      all of that for one study, each part computed once
    tables, comparison, latex    depth tables; the paper's Tables 1 to 3; what LaTeX accepts
    figures, extra_figures       curves; cost, difficulty, change
    figure2                      Fig. 2 with its eight panels
    fonts                        letters that the paper's fonts lack, from those of the machine
    places, cell                 where plans and reports lie; how a number of a report is named
    numbers, provenance          every number by name, and the way back to runs, data and code
    report, notebook, page       a folder per study; the same as a notebook; all on one HTML page
    inventory                    the list of our own files in a folder: no others are touched
    proof_sheet                  everything compiled into one PDF, where a TeX is present
"""
