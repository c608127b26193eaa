"""A database that is away is no fault of whoever asks, nor an unexpected one of ours."""

from __future__ import annotations

import sqlite3
from typing import Any

from synapse_lite.app._errors import translate_store_error
from synapse_lite.storage.errors import (
    CommitUnknownError,
    ConflictError,
    DatabaseUnavailableError,
    DiskFullError,
)
from synapse_lite.storage.leases import LeaseLostError
from tests.rest.client.rooms import RoomsCase


class TranslateTests(RoomsCase):
    """Errors of storage as clients see them."""

    def test_what_passes_is_told_from_what_is_wrong(self) -> None:
        for kind in (DatabaseUnavailableError, DiskFullError, CommitUnknownError, LeaseLostError):
            answer = translate_store_error(kind("database secret"))
            assert answer is not None
            self.assertEqual(answer.status, 503)
            self.assertNotIn("secret", answer.message)
        for other in (ConflictError("a key"), KeyError("a key")):
            self.assertIsNone(translate_store_error(other))

    def test_a_send_on_a_full_disk_is_refused_and_succeeds_later(self) -> None:
        room_id = self.room()
        path = f"rooms/{room_id}/send/m.room.message/full"
        body = {"msgtype": "m.text", "body": "hello"}
        engine = self.master.db.engine
        real = engine.commit
        full = True

        def commit(connection: Any) -> None:
            (is_read,) = connection.execute("PRAGMA query_only").fetchone()
            if full and not is_read:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            real(connection)

        self.patch(engine, "commit", commit)
        self.assert_error(self.request("PUT", path, body), 503, "M_UNKNOWN")
        self.ok("GET", f"rooms/{room_id}/messages?dir=b")
        full = False
        event_id = self.request("PUT", path, body).json["event_id"]
        self.assertEqual(self.event(event_id).content, body)
