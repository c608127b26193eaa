"""Accounts on every database: written whole or not at all, by several at once."""

from __future__ import annotations

from typing import Any

from synapse_lite.storage._base import MasterStore
from synapse_lite.storage.account_tasks import TaskName
from synapse_lite.storage.client_ips import KEPT_MS, ClientIp, ClientIpsStore
from synapse_lite.storage.devices import NewLogin
from synapse_lite.storage.profile import ProfileTooLargeError
from synapse_lite.storage.registration import (
    NewUser,
    RegistrationStore,
    UserExistsError,
)
from synapse_lite.storage.registration_tokens import UnusableTokenError
from synapse_lite.storage.ui_auth import UiAuthStore
from synapse_lite.util.async_helpers import gather_list
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase
from tests.storage.stores import make_store

ALICE = "@alice:test"


class AccountStore(RegistrationStore, UiAuthStore, ClientIpsStore, MasterStore):
    """All of accounts."""


class EveryAccounts(DatabaseCase):
    async def make_store(self) -> Any:
        return await make_store(self, AccountStore)

    async def count(self, table: str) -> int:
        row = await self.db.read("n", lambda txn: txn.query_one(f"SELECT COUNT(*) FROM {table}"))
        assert row is not None
        return int(row[0])

    async def test_many_registrations_of_one_name_make_one_account(self) -> None:
        store = await self.make_store()

        async def register(number: int) -> bool:
            login = NewLogin(f"D{number}", None, f"token {number}")
            try:
                await store.register_user(NewUser(ALICE, None, f"Alice {number}"), login)
            except UserExistsError:
                return False
            return True

        made = await gather_list([register(number) for number in range(6)])
        self.assertEqual(sum(made), 1)
        winner = made.index(True)
        self.assertEqual((await store.get_profile(ALICE)).displayname, f"Alice {winner}")
        devices = await store.get_devices(ALICE)
        self.assertEqual([device.device_id for device in devices], [f"D{winner}"])
        self.assertEqual([await self.count(t) for t in ("users", "access_tokens")], [1, 1])

    async def test_a_token_for_one_use_makes_one_account(self) -> None:
        store = await self.make_store()
        self.assertTrue(await store.add_registration_token("once", uses_allowed=1))
        self.assertFalse(await store.add_registration_token("once"))

        async def register(number: int) -> bool:
            new = NewUser(f"@u{number}:test", None, None, registration_token="once")
            try:
                await store.register_user(new, None)
            except UnusableTokenError:
                return False
            return True

        made = await gather_list([register(number) for number in range(4)])
        self.assertEqual(sum(made), 1)
        self.assertEqual([await self.count(t) for t in ("users", "profiles")], [1, 1])

    async def test_flags_password_and_deactivation(self) -> None:
        store = await self.make_store()
        login = NewLogin("D", None, "token")
        await store.register_user(NewUser(ALICE, "hash", None, is_admin=True), login)
        self.assertTrue((await store.get_user(ALICE)).is_admin)
        self.assertTrue(await store.set_locked(ALICE, True))
        self.assertFalse(await store.set_locked("@nobody:test", True))
        self.assertTrue((await store.get_user(ALICE)).is_locked)
        await store.set_password_hash(
            ALICE, "other", log_out_others=True, device_id=None, token_id=None
        )
        self.assertEqual(await store.get_password_hash(ALICE), "other")
        self.assertEqual([await self.count(t) for t in ("devices", "access_tokens")], [0, 0])
        await store.deactivate_user(ALICE, erase=True)
        user = await store.get_user(ALICE)
        self.assertEqual((user.is_deactivated, user.is_admin), (True, False))
        self.assertIsNone(await store.get_password_hash(ALICE))
        self.assertIsNone(await store.get_profile(ALICE))
        self.assertEqual(await store.get_account_tasks(), [(ALICE, TaskName.LEAVE_ROOMS)])

    async def test_profile_fields_and_their_task(self) -> None:
        store = await self.make_store()
        await store.register_user(NewUser(ALICE, None, "Alice"), None)
        self.assertTrue(await store.set_profile_field(ALICE, "org.example", {"a": [1, None]}))
        self.assertEqual((await store.get_profile(ALICE)).fields, {"org.example": {"a": [1, None]}})
        self.assertEqual(await store.get_account_tasks(), [])
        with self.assertRaises(ProfileTooLargeError):
            await store.set_profile_field(ALICE, "big", "x" * 70_000)
        self.assertTrue(await store.set_profile_field(ALICE, "displayname", "A"))
        self.assertFalse(await store.set_profile_field(ALICE, "displayname", "A"))
        first = await store.get_account_task(ALICE, TaskName.PROFILE)
        self.assertTrue(await store.note_task_progress(first, "!room"))
        await store.set_profile_field(ALICE, "displayname", "B")
        # What works for the first name must not call the second one done.
        self.assertFalse(await store.note_task_progress(first, "!room2"))
        self.assertFalse(await store.finish_task(first))
        second = await store.get_account_task(ALICE, TaskName.PROFILE)
        self.assertEqual((second.version, second.progress), (first.version + 1, ""))
        self.assertTrue(await store.finish_task(second))
        self.assertEqual(await store.get_account_tasks(), [])

    async def test_sessions_and_addresses(self) -> None:
        store = await self.make_store()
        session = await store.create_ui_auth_session("op")
        await store.complete_ui_auth_stage(session, "m.login.dummy", True, "digest")
        await store.complete_ui_auth_stage(session, "m.login.dummy", False, "other")
        found = await store.get_ui_auth_session(session.session_id)
        self.assertEqual(found.completed, {"m.login.dummy": True})
        self.assertEqual(found.request_digest, "digest")
        await store.delete_ui_auth_session(session.session_id)
        self.assertIsNone(await store.get_ui_auth_session(session.session_id))
        await store.register_user(NewUser(ALICE, None, None), NewLogin("D", None, "token"))
        self.assertIsNotNone((await store.get_device(ALICE, "D")).last_seen_ts)
        await self.db.run("unseen", lambda txn: txn.update("devices", {}, {"last_seen_ts": None}))
        old = self.clock.time_ms() - KEPT_MS - 100
        for moment in (old + 5, old + 9):
            await store.write_client_ips([ClientIp(ALICE, 1, "192.0.2.1", "ua", "D", moment)])
        await store.write_client_ips([ClientIp(ALICE, 1, "192.0.2.2", "ua", "D", old + 7)])
        device = await store.get_device(ALICE, "D")
        self.assertEqual((device.last_seen_ts, device.last_seen_ip), (old + 9, "192.0.2.1"))
        self.assertEqual(
            [(seen.ip, seen.last_seen_ms) for seen in await store.get_client_ips(ALICE)],
            [("192.0.2.1", old + 9), ("192.0.2.2", old + 7)],
        )
        await store.forget_old_client_ips()
        self.assertEqual(await self.count("user_ips"), 0)


class TestAccountsInMemory(EveryAccounts, MemoryDatabase):
    pass


class TestAccountsInFile(EveryAccounts, FileDatabase):
    pass


class TestAccountsOnPostgres(EveryAccounts, PostgresDatabase):
    pass
