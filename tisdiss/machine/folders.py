"""The folders that commands read and write, unless an option names others.

They lie in the folder that $TISDISS_HOME names, else where the command is called. MLflow's database
lies beside the runs.
"""

import os
from pathlib import Path

HOME = Path(os.environ.get("TISDISS_HOME", ""))
RUNS = HOME / "runs"
CACHE = HOME / "cache"
"""Decoded and fetched speech."""
STUDIES = HOME / "studies"
"""A user's studies; they come before those of the package."""
REPORTS = HOME / "build" / "reports"
SMOKE_REPORTS = HOME / "build" / "smoke"
"""Reports at profile smoke."""
KEPT_REPORTS = HOME / "reports"
"""Reports that are kept with the project; only commands that name this folder change them."""
REPRODUCED = HOME / "build" / "reproduce"
"""Scratch folders of runs that are made again."""
PROOF = HOME / "build" / "proof.pdf"
