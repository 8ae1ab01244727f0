"""The upper limit: what the database alone can do, measured with `pgbench` on the same server, tables and indexes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.database import Database
from benchmarks.processes import Spent
from benchmarks.site import Site
from local.postgresql import ADMIN, binaries

CLIENTS = 32
THREADS = 2
SCRIPT = Path(__file__).with_name("limit.sql")
NAME = "bare_limit"
FINISH_SECONDS_MAX = 120
LINES_A_RUN = 10_000_000
"""More than a client makes in one run, so that the sequence numbers of different runs never collide."""


class Limit:
    """A second database on the brokerage's server, with the same schema and the same data."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.runs = 0
        environment = dict(site.environment)
        url = environment.pop("MIGRATE_DATABASE_URL")
        self.url = f"{url.rpartition('/')[0]}/{NAME}"
        owner = site.database.connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        site.database.connection.execute(f"CREATE DATABASE {NAME} OWNER {owner[0] if owner else ADMIN}")
        result = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--noinput"],
            cwd=Path(__file__).parents[1],
            env={**os.environ, **environment, "DATABASE_URL": self.url},
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise RuntimeError(f"the limit's database was not migrated: {result.stderr[-2000:]}")
        self.database = Database(site.brokerage.data_dir, self.url)
        self.population = site.populate(self.database)

    def measure(self, seconds: int, warm_up_seconds: int) -> dict[str, Any]:
        """Return the trades per second, and the cost of a trade.

        Args:
            warm_up_seconds: Load before, which doesn't count: the first change of a page after a checkpoint writes all
                of the page.
        """
        self.site.calm_down()
        self.database.vacuum_and_checkpoint()
        self._finish(self._start(warm_up_seconds))
        pgbench = self._start(seconds)
        roots = {**self.site.roots(), pgbench.pid: "pgbench"}
        before, counters = processes.snapshot(roots), self.database.counters()
        try:
            # Sample while pgbench is still running: the CPU time of a process that has ended counts for its parent.
            time.sleep(max(0.5, seconds - 0.5))
            after, counted = processes.snapshot(roots), self.database.counters()
            output = self._finish(pgbench)
        except BaseException:
            pgbench.kill()
            pgbench.wait()
            raise
        spent = Spent.between(before, after)
        rate, latency = _figure(r"tps = ([\d.]+) \(without", output), _figure(r"latency average = ([\d.]+) ms", output)
        count = int(rate * spent.seconds)
        return {
            "tradesPerSecond": round(rate, 1),
            "latencyMs": latency,
            "cpuMs": spent.milliseconds_each(count),
            **spent.disturbance(),
            "each": counted.each(counters, count),
        }

    def _start(self, seconds: int) -> subprocess.Popen[str]:
        self.runs += 1
        variables = {
            "clients": CLIENTS,
            "first": self.population.first_id,
            "each": self.population.customers // CLIENTS,
            "line": self.runs * LINES_A_RUN,
        }
        arguments = {**self.database.connection_arguments, "user": ADMIN}
        command = [
            *(str(binaries() / "pgbench"), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", str(THREADS)),
            *("-T", str(max(1, seconds)), "-f", str(SCRIPT), "--random-seed", str(self.runs)),
            *(part for name, value in variables.items() for part in ("-D", f"{name}={value}")),
            *("-h", str(arguments["host"]), "-p", str(arguments["port"]), "-U", ADMIN, NAME),
        ]
        environment = {**os.environ, "PGPASSWORD": str(arguments["password"])}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    @staticmethod
    def _finish(pgbench: subprocess.Popen[str]) -> str:
        """Wait until pgbench ends, and return its output. Raises RuntimeError if a transaction failed."""
        output, errors = pgbench.communicate(timeout=FINISH_SECONDS_MAX)
        if pgbench.returncode or _figure(r"number of failed transactions: (\d+)", output) != 0:
            raise RuntimeError(f"pgbench: {output[-2000:]}{errors[-2000:]}")
        return output

    def close(self) -> None:
        self.database.close()


def _figure(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"pgbench printed nothing like {pattern}: {output[-2000:]}")
    return float(found[1])
