"""Starting on the database of another server."""

from __future__ import annotations

from twisted.trial import unittest

from synapse_lite.storage.errors import WrongDatabaseError
from synapse_lite.storage.server_name import check_server_name

from ..harness.homeserver import make_master, now


class CheckServerNameTestCase(unittest.TestCase):
    """A master called `test`."""

    def setUp(self) -> None:
        self.master = make_master()

    def test_an_empty_database_is_anybodys(self) -> None:
        now(check_server_name(self.master.db, "other"))

    def test_its_own_database(self) -> None:
        self.master.register("alice")
        now(check_server_name(self.master.db, "test"))

    def test_the_database_of_another_server(self) -> None:
        self.master.register("alice")
        with self.assertRaises(WrongDatabaseError) as caught:
            now(check_server_name(self.master.db, "example.com"))
        self.assertIn("belongs to test, not to example.com", str(caught.exception))
        with self.assertRaises(WrongDatabaseError):
            now(check_server_name(self.master.db, "est"))
