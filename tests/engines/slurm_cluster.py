"""A real Slurm of two nodes on this machine, for tests: no systemd, no cgroups, no accounting.

Needs root and the packages slurm-wlm and munge. Both nodes are this machine under two names. Times
are short, so that a lost node, a requeue or a preemption takes seconds. Daemons are found again by
their pid files, so nothing of another Slurm is ever touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "munged", "unmunge")
NODES = ("left", "right")
CONFIG = """\
ClusterName=drill
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=17816
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5,socket={munge}
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,bf_resolution=1,sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool/%n
SlurmctldPidFile={at}/run/slurmctld.pid
SlurmdPidFile={at}/run/%n.pid
SlurmctldLogFile={at}/log/slurmctld.log
SlurmdLogFile={at}/log/%n.log
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=3
MinJobAge=60
Waittime=0
MailProg=/bin/true
{nodes}
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=15
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000"


def missing() -> str | None:
    """Why a cluster cannot be started here, None if it can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not installed (apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "a Slurm for tests is started by root"


class SlurmCluster:
    """The daemons of a cluster whose state lives in one folder."""

    def __init__(self, at: Path):
        self.at, self.host = at, socket.gethostname().split(".")[0]
        self.config = at / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.config)}

    def start(self) -> None:
        for name in ("state", "log", "run", *(f"spool/{node}" for node in NODES)):
            (self.at / name).mkdir(parents=True)
        os.chmod(self.at, 0o755)
        self._start_munge()
        nodes = [
            NODE.format(name=name, host=self.host, port=17817 + k) for k, name in enumerate(NODES)
        ]
        self.config.write_text(
            CONFIG.format(
                host=self.host, at=self.at, munge=self.at / "munge/socket", nodes="\n".join(nodes)
            )
        )
        self.start_controller("-c")
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: self.idle() == len(NODES), "nodes are idle")

    def _start_munge(self) -> None:
        at = self.at / "munge"
        at.mkdir(mode=0o755)
        key = at / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        for path in (at, key):
            shutil.chown(path, "munge", "munge")
        drop = ["setpriv", "--reuid=munge", "--regid=munge", "--init-groups"]
        files = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid"}
        options = [f"--{option}={at / name}" for option, name in files.items()]
        options.append(f"--seed-file={at / 'seed'}")
        subprocess.run([*drop, shutil.which("munged"), "--force", *options], check=True)
        self.wait(lambda: (at / "socket").exists(), "munged is up")

    def start_controller(self, *options: str) -> None:
        subprocess.run(["slurmctld", *options, "-f", str(self.config)], check=True)

    def start_node(self, name: str) -> None:
        subprocess.run(["slurmd", "-f", str(self.config), "-N", name], check=True)

    def kill_controller(self) -> None:
        _kill(self._pid("run/slurmctld.pid"))

    def kill_node(self, name: str) -> None:
        """What a power cut does: the daemon and all it has started are gone."""
        for pid in self._of_node(name):
            _kill(pid)

    def _of_node(self, name: str) -> list[int]:
        """The daemon, its step daemons (they write to its log) and all that these started."""
        log = self.at / f"log/{name}.log"
        roots = [pid for pid, _, words in _processes() if "slurm" in words and _opens(pid, log)]
        return [pid for root in roots for pid in _family(root)]

    def stop(self) -> None:
        self.ask("scancel", "-u", "root")
        for name in NODES:
            self.kill_node(name)
        _kill(self._pid("run/slurmctld.pid"))
        _kill(self._pid("munge/pid"))
        for pid, _, _ in _processes():
            if _environment(pid).get("SLURM_CONF") == str(self.config):
                _kill(pid)  # what jobs have left behind

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout

    def idle(self) -> int:
        return len(self.ask("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N").split())

    def jobs(self, form: str = "%i|%T|%N") -> list[list[str]]:
        """What squeue says about every job, ended ones too."""
        lines = self.ask("squeue", "-h", "-r", "-t", "all", "-o", form).splitlines()
        return [line.strip().split("|") for line in lines]

    def wait(self, claim: Callable[[], bool], what: str, seconds: float = 300) -> float:
        """Wait until a claim is true, on a busy machine too; returns how long that took."""
        began = time.monotonic()
        while not claim():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"not within {seconds:.0f} s: {what}")
            time.sleep(0.1)
        return time.monotonic() - began

    def _pid(self, path: str | Path) -> int:
        file = self.at / path
        text = file.read_text().strip() if file.is_file() else ""
        return int(text) if text else 0


def _processes() -> list[tuple[int, int, str]]:
    """(pid, parent, command line) of everything that runs."""
    about = (process.info for process in psutil.process_iter(["pid", "ppid", "cmdline"]))
    return [(one["pid"], one["ppid"], " ".join(one["cmdline"] or ())) for one in about]


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    members, table = [pid] if pid else [], _processes()
    for member in members:
        members += [child for child, parent, _ in table if parent == member]
    return members


def _environment(pid: int) -> dict[str, str]:
    try:
        return psutil.Process(pid).environ()
    except psutil.Error:
        return {}


def _opens(pid: int, path: Path) -> bool:
    try:
        return str(path) in [file.path for file in psutil.Process(pid).open_files()]
    except psutil.Error:
        return False


def _kill(pid: int) -> None:
    if pid > 1:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main(folder: str) -> None:
    """Start a cluster to play with, and stop it on Ctrl-C."""
    if reason := missing():
        raise SystemExit(reason)
    cluster = SlurmCluster(Path(folder).resolve())
    cluster.at.mkdir(parents=True)
    try:
        cluster.start()
        print(f"export SLURM_CONF={cluster.config}", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        cluster.stop()


if __name__ == "__main__":
    main(sys.argv[1])
