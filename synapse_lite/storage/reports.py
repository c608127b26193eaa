"""Reports of rooms, events and users, kept for those who run this server."""

from __future__ import annotations

import secrets
from typing import Any

import attrs

from ._base import BaseStore, MasterStore
from .transaction import Transaction

_ID_BITS = 53
"""Ids are random, so that no counter is needed, and fit JSON numbers."""


@attrs.frozen
class Report:
    """What a user reports: an event if `event_id` is set, else a room or a user.

    `reported_user` of an event is its sender. `score` comes from older clients, -100 to 0.
    """

    reporter: str
    room_id: str | None = None
    event_id: str | None = None
    reported_user: str | None = None
    reason: str | None = None
    score: int | None = None


@attrs.frozen
class StoredReport:
    """A report with its id, and when it came, in ms."""

    report_id: int
    received_ts: int
    report: Report


class ReportsWorkerStore(BaseStore):
    """Reads of reports."""

    async def get_reports(
        self, *, limit: int, before: tuple[int, int] | None = None
    ) -> list[StoredReport]:
        """The newest reports, newest first; those before a time of receipt and id, if given."""
        return await self.db.read("get_reports", self._get_reports_txn, limit, before)

    @staticmethod
    def _get_reports_txn(
        txn: Transaction, limit: int, before: tuple[int, int] | None
    ) -> list[StoredReport]:
        condition = ""
        args: list[Any] = []
        if before is not None:
            condition = " WHERE (received_ts, report_id) < (?, ?)"
            args += before
        rows = txn.query(
            "SELECT report_id, received_ts, reporter, room_id, event_id, reported_user, reason,"
            f" score FROM reports{condition} ORDER BY received_ts DESC, report_id DESC LIMIT ?",
            [*args, limit],
        )
        return [StoredReport(row[0], row[1], Report(*row[2:])) for row in rows]


class ReportsStore(ReportsWorkerStore, MasterStore):
    """Writes of reports."""

    async def add_report(self, report: Report) -> int:
        """Store a report that has come now. Returns its id."""
        report_id = secrets.randbits(_ID_BITS)
        received_ts = self.clock.time_ms()
        await self.db.run(
            "add_report",
            lambda txn: txn.insert(
                "reports", report_id=report_id, received_ts=received_ts, **attrs.asdict(report)
            ),
        )
        return report_id
