"""Store what testers have set: corporate actions, closures, and the offset of the clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from datetime import time as clock_time
from typing import Any

from exchange.simulator.calendar import Closure
from exchange.simulator.corporate_actions import CorporateAction
from exchange.simulator.database import Database

_COLUMNS = ", ".join(CorporateAction._fields)


class AnnouncementStore:
    """Reads and writes announcements. Each write is durable when it returns, or raises sqlite3.Error."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_action(self, action: CorporateAction) -> CorporateAction:
        """Store a corporate action and return it with its sequence number."""
        columns = _COLUMNS.removeprefix("sequence, ")
        marks = ", ".join("?" * (len(action) - 1))
        values = [value.isoformat() if isinstance(value, date) else value for value in action[1:]]
        cursor = self._database.write(f"INSERT INTO corporate_actions ({columns}) VALUES ({marks})", values)
        self._database.commit()
        return action._replace(sequence=cursor.lastrowid or 0)

    def find_action(self, action_id: str) -> CorporateAction | None:
        """Return the corporate action with this id, or None."""
        query = f"SELECT {_COLUMNS} FROM corporate_actions WHERE action_id = ?"
        return next(map(_action, self._database.read(query, (action_id,))), None)

    def actions(self, after: int = 0, limit: int = -1) -> list[CorporateAction]:
        """Return the corporate actions after a sequence number, in order of announcement. A limit of -1 means none."""
        query = f"SELECT {_COLUMNS} FROM corporate_actions WHERE sequence > ? ORDER BY sequence LIMIT ?"
        return list(map(_action, self._database.read(query, (after, limit))))

    def put_closures(self, closures: Iterable[Closure]) -> None:
        """Store closures. A closure replaces an earlier one for the same day."""
        rows = [(item.day.isoformat(), item.close and item.close.isoformat(), item.reason) for item in closures]
        self._database.write_many("INSERT OR REPLACE INTO closures (day, close, reason) VALUES (?, ?, ?)", rows)
        self._database.commit()

    def delete_closures(self, day: date | None = None) -> None:
        """Delete the closure of a day, or all closures. Idempotent."""
        if day is None:
            self._database.write("DELETE FROM closures", ())
        else:
            self._database.write("DELETE FROM closures WHERE day = ?", (day.isoformat(),))
        self._database.commit()

    def closures(self) -> list[Closure]:
        """Return all closures, in order of their days."""
        rows = self._database.read("SELECT day, close, reason FROM closures ORDER BY day")
        return [
            Closure(date.fromisoformat(day), clock_time.fromisoformat(close) if close else None, reason)
            for day, close, reason in rows
        ]

    def put_clock_offset(self, offset: int) -> None:
        """Store by how many microseconds the exchange's clock is ahead of the machine's."""
        self._database.write("INSERT OR REPLACE INTO clock (id, offset_micros) VALUES (1, ?)", (offset,))
        self._database.commit()

    def clock_offset(self) -> int:
        """Return by how many microseconds the exchange's clock is ahead of the machine's."""
        return next((offset for (offset,) in self._database.read("SELECT offset_micros FROM clock")), 0)


def _action(row: Any) -> CorporateAction:
    action = CorporateAction._make(row)
    dates: dict[str, Any] = {name: getattr(action, name) for name in ("ex_date", "record_date", "pay_date")}
    dates = {name: date.fromisoformat(text) for name, text in dates.items() if text}
    return action._replace(**dates)
