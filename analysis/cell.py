"""The name of a number in a report: study:row:score, such as table3:l3:si_snri."""

from tisdiss.records import names


def split_cell(cell: str) -> tuple[str, str, str]:
    """Study, row and score of a cell, or study, "claim" and the claim's id.

    Raises ValueError for text that is not the name of a cell.
    """
    parts = cell.split(":")
    if len(parts) != 3 or not all(parts):
        raise ValueError(
            f"{cell!r} is not a cell; one looks like table3:l3:si_snri or fig2a:l1+3:sdri.re6"
        )
    scores = (*names.reached(), names.PARAMS)
    if parts[1] != "claim" and parts[2].partition(".")[0] not in scores:
        raise ValueError(f"{cell}: {parts[2]!r} is not a score; there are {', '.join(scores)}")
    return parts[0], parts[1], parts[2]
