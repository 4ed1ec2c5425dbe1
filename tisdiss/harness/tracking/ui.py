"""`tisdiss ui`: serves MLflow's pages on this machine, and keeps them up to date.

The process that serves the pages also sends the news of the runs (`news.py`), whoever trains them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tisdiss.harness.address import is_server
from tisdiss.harness.children import stop_group
from tisdiss.harness.tracking.experiment import project_of, store_address
from tisdiss.harness.tracking.news import REFRESH_SECONDS, News
from tisdiss.harness.tracking.sync import PORT
from tisdiss.machine.folders import RUNS
from tisdiss.machine.termination import termination_as_exit


def check_port(port: int, *, runs_dir: Path = RUNS) -> None:
    """Raise ValueError if the pages cannot be served at a port of this machine."""
    if is_server(_address(runs_dir)):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValueError(
                f"port {port} of this machine cannot be used ({error.strerror}): stop the program "
                "that uses it, or name another one with --port"
            ) from error


def ui(
    port: int = PORT,
    *,
    runs_dir: Path = RUNS,
    say: Callable[[str], None] = print,
    seconds: float = REFRESH_SECONDS,
) -> int:
    """Serve MLflow's pages until interrupted; returns the server's exit code.

    If the store is a server, there is nothing to do.
    """
    address = _address(runs_dir)
    if is_server(address):
        return 0
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": address,  # not on the command line: it may hold a password
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    # An empty folder, because the server would import modules from its own, such as a types.py.
    with tempfile.TemporaryDirectory() as empty, termination_as_exit():
        environment = {**os.environ, **quiet}
        server = subprocess.Popen(command, cwd=empty, env=environment, start_new_session=True)
        news = News(runs_dir, say)
        try:
            while server.poll() is None:
                try:
                    server.wait(timeout=seconds)
                except subprocess.TimeoutExpired:
                    news.send()
            return server.returncode
        finally:
            stop_group(server)


def _address(runs_dir: Path) -> str:
    return store_address(None, project_of(runs_dir))
