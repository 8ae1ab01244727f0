"""Starts each node's programs and restarts those that end, as systemd does on a real host."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from cluster import network
from cluster.nodes import NODES, Node
from cluster.packages import PROJECT
from cluster.programs import Program, Programs

RESTART_SECONDS = 1.0
"""Least time between two starts of a program."""
STOP_SECONDS_MAX = 15.0
WATCH_SECONDS = 15.0


class Running:
    """A program on its node; `stop` ends it for good."""

    def __init__(self, node: Node, program: Program, log: Path) -> None:
        self.node, self.program, self._log = node, program, log
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True, name=f"{node.name} {program.name}")
        self._thread.start()
        if program.hangs:
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Kill the program whenever it hangs, as a systemd timer does on a real host."""
        while not self._over.wait(WATCH_SECONDS):
            check = subprocess.run(
                [*network.command(self.node.name), *self.program.hangs], capture_output=True, stdin=subprocess.DEVNULL
            )
            if check.returncode == 0 and not self._over.is_set() and self.process is not None:
                self._end_session(self.process.pid)

    def _keep(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self._run_once()
            except (OSError, subprocess.SubprocessError) as error:  # a machine may be short of disk or processes
                print(f"{self.node.name}: {self.program.name} will be started again: {error}", file=sys.stderr)
            self._over.wait(max(0.0, began + RESTART_SECONDS - time.monotonic()))

    def _run_once(self) -> None:
        self._start()
        assert self.process is not None
        self.process.wait()
        if not self.program.leaves_children:
            self._end_session(self.process.pid)

    def _start(self) -> None:
        program = self.program
        command = ["setpriv", "--pdeathsig", "KILL"]
        if program.user is not None:
            account = pwd.getpwnam(program.user)
            command += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                [*network.command(self.node.name), *command, *program.command],
                cwd="/" if program.user else PROJECT,
                env=program.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=program.descriptors,
            )
        self.starts += 1

    def _end_session(self, leader: int) -> None:
        """Kill processes that a dead program left running, as systemd does with a unit's processes."""
        for pid in network.pids(self.node.name):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == leader:
                    os.kill(pid, signal.SIGKILL)

    def send(self, number: int) -> None:
        """Send a signal to the program alone; if that ends it, it is restarted."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def give_up(self) -> None:
        """Stop restarting the program."""
        self._over.set()

    def stop(self) -> None:
        """Stop the program cleanly; kill it if that takes too long."""
        self.give_up()
        self.send(signal.SIGTERM)
        self._thread.join(STOP_SECONDS_MAX)
        self.send(signal.SIGKILL)


class Host:
    """One node's power switch and network cable."""

    def __init__(self, node: Node, programs: Programs) -> None:
        self.node, self._programs = node, programs
        self.running: list[Running] = []
        self.is_cut = False
        self.deaf_to: str | None = None
        self._lock = threading.Lock()

    @property
    def is_on(self) -> bool:
        return bool(self.running)

    def boot(self) -> None:
        """Connect the node to the network and start its programs. Idempotent: yes."""
        with self._lock:
            if self.running:
                return
            self._heal()
            logs = self._programs.folder / "log"
            logs.mkdir(parents=True, exist_ok=True)
            for program in self._programs.of(self.node):
                self.running.append(Running(self.node, program, logs / f"{self.node.name}-{program.name}.log"))

    def kill(self, *, silently: bool = False) -> None:
        """Kill every process of the node. Idempotent: yes.

        Args:
            silently: cut the network first, as when the power fails, so that peers don't see connections close.
        """
        with self._lock:
            if silently:
                self._cut()
            for running in self.running:
                running.give_up()
            self.running = []
            network.kill_all(self.node.name)

    def shut_down(self) -> None:
        """Stop the node's programs cleanly, in reverse order."""
        with self._lock:
            for running in reversed(self.running):
                running.stop()
            self.running = []

    def cut(self) -> None:
        with self._lock:
            self._cut()

    def heal(self) -> None:
        with self._lock:
            self._heal()

    def block(self, other: str) -> None:
        with self._lock:
            network.block(self.node.name, other)
            self.deaf_to = other

    def _cut(self) -> None:
        network.cut(self.node.name)
        self.is_cut = True

    def _heal(self) -> None:
        network.heal(self.node.name)
        if self.deaf_to:
            network.unblock(self.node.name)
        self.is_cut, self.deaf_to = False, None

    def send(self, name: str, number: int) -> bool:
        """Send a signal to a program of this node, or to PostgreSQL's postmaster; return False if it isn't running."""
        if name == "postgres":
            try:
                file = self._programs.data(self.node) / "postgres/postmaster.pid"
                os.kill(int(file.read_text().split()[0]), number)
            except (OSError, ValueError, IndexError):
                return False
            return True
        matching = [running for running in self.running if running.program.name == name]
        for running in matching:
            running.send(number)
        return bool(matching)

    def state(self) -> dict[str, Any]:
        """Return the node's state for `cluster status`."""
        return {
            "on": self.is_on,
            "cut": self.is_cut,
            "deafTo": self.deaf_to,
            "programs": {
                running.program.name: {
                    "pid": running.process.pid if running.process else None,
                    "starts": running.starts,
                    "runs": running.process is not None and running.process.poll() is None,
                }
                for running in self.running
            },
        }


class Hosts:
    """All nodes of a cluster."""

    def __init__(self, programs: Programs) -> None:
        self._hosts = {name: Host(node, programs) for name, node in NODES.items()}
        self._over = threading.Event()

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def schedule(self, seconds: float, work: Any) -> None:
        """Call `work` after this many seconds, unless the cluster ends first."""

        def wait() -> None:
            if not self._over.wait(seconds):
                work()

        threading.Thread(target=wait, daemon=True).start()

    def state(self) -> dict[str, Any]:
        return {name: host.state() for name, host in self._hosts.items()}

    def end(self) -> None:
        """Kill everything, and cancel scheduled work."""
        self._over.set()
        for host in self._hosts.values():
            host.kill()
