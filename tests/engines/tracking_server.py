"""An MLflow server on PostgreSQL, for tests: started, killed and started again by the test.

Needs the PostgreSQL programs and psycopg2. PostgreSQL refuses to be root, so it runs as nobody.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PROGRAMS = ("initdb", "pg_ctl", "createdb")
USER = "nobody"


def missing() -> str | None:
    """Why PostgreSQL cannot be started here, None if it can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not installed (PostgreSQL)"
    if importlib.util.find_spec("psycopg2") is None:
        return "psycopg2 not installed (pip install psycopg2-binary)"
    return None


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


class Postgres:
    """A database server whose files live in one folder."""

    def __init__(self, at: Path):
        self.at, self.port = at, free_port()

    @property
    def uri(self) -> str:
        return f"postgresql+psycopg2://tracker@127.0.0.1:{self.port}/tracking"

    def create(self) -> None:
        self.at.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(self.at, USER)
        rules = ["--auth-local=trust", "--auth-host=trust", "-E", "UTF8", "--no-locale"]
        self._do("initdb", "-D", str(self.at / "data"), "-U", "tracker", *rules)
        self.start()
        self.add("tracking")

    def add(self, name: str) -> None:
        self._do("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tracker", name)

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.at}"
        )
        self._control("-w", "-l", str(self.at / "log"), "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        """`immediate` is what a power cut does."""
        self._control("-m", how, "stop")

    def _control(self, *words: str) -> None:
        self._do("pg_ctl", "-D", str(self.at / "data"), *words)

    def _do(self, *command: str) -> None:
        if os.geteuid() == 0:
            drop = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups"]
            command = (*drop, "env", f"HOME={self.at}", *command)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


class MlflowServer:
    """MLflow's server as one process group."""

    def __init__(self, at: Path, store: str):
        self.at, self.store, self.port = at, store, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, seconds: float = 600) -> None:
        self.at.mkdir(parents=True, exist_ok=True)
        quiet = {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1", "--backend-store-uri", self.store]
        command += ["--artifacts-destination", str(self.at / "artifacts")]
        with (self.at / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **quiet},
                cwd=self.at,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._healthy():
            if time.monotonic() > end:
                raise TimeoutError(f"no MLflow server within {seconds:.0f} s: {self.at / 'log'}")
            time.sleep(0.2)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
