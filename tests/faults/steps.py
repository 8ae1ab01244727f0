"""Count every external step of a process, and inject a fault into the n-th.

A step is an SQL statement, a commit, a new connection, a call to the exchange, or a command to the broker. The process
is a fork of the test's own process, so that a hundred kills take a second.
"""

from __future__ import annotations

import enum
import gc
import os
import re
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import redis
from celery import Celery, current_app
from django.db import Error, OperationalError, connection, connections

from exchange import gateway
from trades.broker import forget_broker
from web.http import Client, NoAnswer

IDLE_IN_TRANSACTION_MS = 300
"""The database ends the transaction of a hung process after this time; in production after 5 s."""
TABLE = re.compile(r"\b(?:accounts|trades|exchange|django)_[a-z]+")


class Fault(enum.Enum):
    """The fault that is injected into a step."""

    KILLED_BEFORE = "the process is killed before the step"
    KILLED_AFTER = "the process is killed after the step"
    FAILS = "the step takes effect but raises an error"
    HANGS = "the process hangs before the step, and wakes up when others have done its work"


@dataclass
class Steps:
    """The steps of this process, counted and written to a file. `fault` is injected into step number `at`, from 1."""

    notes: Path
    fault: Fault | None = None
    at: int = 0
    _count: int = 0
    _inside: bool = False

    def take(self, label: str, step: Callable[[], Any], failure: Callable[[], Exception]) -> Any:
        if self._inside:  # part of a step that has been counted
            return step()
        self._count += 1
        with open(self.notes, "a") as notes:
            notes.write(label + "\n")
        is_target = self._count == self.at
        if is_target and self.fault is Fault.KILLED_BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        if is_target and self.fault is Fault.HANGS:
            os.kill(os.getpid(), signal.SIGSTOP)
        self._inside = True
        try:
            result = step()
        finally:
            self._inside = False
        if is_target and self.fault is Fault.KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if is_target and self.fault is Fault.FAILS:
            raise failure()
        return result

    def watch(self) -> None:
        """Start counting this process's steps."""
        self._watch_sql()
        self._watch(Client, "call", lambda a: f"http {a[1]} {_path(a[2])}", _exchange_fails)
        self._watch(
            redis.client.Pipeline, "execute", lambda a: "broker " + " ".join(_commands(a[0])), redis.ConnectionError
        )
        self._watch(Celery, "send_task", lambda a: f"broker publish {a[1]}", redis.ConnectionError)
        self._watch(redis.Redis, "execute_command", lambda a: f"broker {a[1]}", redis.ConnectionError)

    def _watch(
        self, owner: Any, name: str, label: Callable[[tuple[Any, ...]], str], failure: Callable[[], Exception]
    ) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            return self.take(label(args), lambda: original(*args, **kwargs), failure)

        mock.patch.object(owner, name, watched).start()

    def _watch_sql(self) -> None:
        def failure() -> Exception:
            # As after a network failure: the statement has been executed, but the connection is gone.
            if connection.connection is not None:
                connection.connection.close()
            return OperationalError("the connection was lost")

        def statement(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            return self.take(f"sql {_statement(sql)}", lambda: execute(sql, params, many, context), failure)

        connection.execute_wrappers.append(statement)
        for name, label in (("_commit", "sql COMMIT"), ("get_new_connection", "sql connect")):
            original = getattr(connection, name)

            def watched(*args: Any, original: Any = original, label: str = label) -> Any:
                return self.take(label, lambda: original(*args), failure)

            setattr(connection, name, watched)


def _exchange_fails() -> Exception:
    return NoAnswer("the connection was lost")


def _path(url: str) -> str:
    return re.sub(r"[0-9a-f-]{36}", "{tradeId}", re.sub(r"^http://[^/]+", "", url))


def _commands(pipe: Any) -> list[str]:
    return [str(args[0]) for args, _ in pipe.command_stack]


def _statement(sql: str) -> str:
    tables = list(dict.fromkeys(TABLE.findall(sql)))
    lock = " for update" if "FOR NO KEY UPDATE" in sql or "FOR UPDATE" in sql else ""
    return f"{sql.split()[0]} {', '.join(tables)}{lock}".strip()


@dataclass(frozen=True)
class Outcome:
    """How a process ended: its exit code (negative: the signal), and whether it hung in between."""

    code: int
    hung: bool
    steps: list[str]


def run(work: Callable[[], Any], steps: Steps, while_hung: Callable[[], Any]) -> Outcome:
    """Do the work in a forked process. If it hangs, call `while_hung` and then wake it up."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        _become(work, steps)
    _, status = os.waitpid(pid, os.WUNTRACED)
    hung = os.WIFSTOPPED(status)
    if hung:
        while_hung()
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
    labels = steps.notes.read_text().splitlines() if steps.notes.exists() else []
    return Outcome(os.waitstatus_to_exitcode(status), hung, labels)


def _become(work: Callable[[], Any], steps: Steps) -> None:
    """Run the forked process; never returns."""
    code = 1
    # A collection would touch, and so copy, all memory that is shared with the test's process.
    gc.disable()
    try:
        # The connections of the test's process must not be used here.
        forget_broker()
        current_app._after_fork()  # type: ignore[attr-defined]
        gateway.forget()
        settings = connection.settings_dict["OPTIONS"]
        settings["options"] += f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
        steps.watch()
        work()
        code = 0
    except (Error, redis.RedisError):
        code = 3  # a failed task, or a failed round of the sweep
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
