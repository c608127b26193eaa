"""Guests, addresses and short-lived tokens on every database."""

from __future__ import annotations

from typing import Any

from synapse_lite.storage._base import MasterStore
from synapse_lite.storage.devices import NewLogin
from synapse_lite.storage.guests import GuestsStore
from synapse_lite.storage.registration import NewUser, RegistrationStore, UserExistsError
from synapse_lite.types.threepids import Threepid
from synapse_lite.util.async_helpers import gather_list
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase
from tests.storage.stores import make_store

ALICE, BOB, GUEST = "@alice:test", "@bob:test", "@guest:test"
EMAIL = Threepid("email", "a@example.com")


class TablesStore(RegistrationStore, GuestsStore, MasterStore):
    """What these tests need."""


class EveryAccountTables(DatabaseCase):
    async def make_store(self) -> Any:
        return await make_store(self, TablesStore)

    async def test_rooms_with_guests(self) -> None:
        store = await self.make_store()
        await store.register_user(NewUser(ALICE, None, None), None)
        await store.register_user(NewUser(GUEST, None, None, is_guest=True), None)
        rows = [
            ("!1:test", ALICE, "join"),
            ("!1:test", GUEST, "join"),
            ("!2:test", GUEST, "leave"),
            ("!3:test", ALICE, "join"),
            ("!4:test", GUEST, "join"),
        ]
        await self.db.run(
            "members",
            lambda txn: txn.insert_many(
                "local_current_membership",
                (
                    "room_id",
                    "user_id",
                    "membership",
                    "event_id",
                    "stream_ordering",
                    "sender",
                    "forgotten",
                ),
                [(*row, f"${number}", number, row[1], False) for number, row in enumerate(rows)],
            ),
        )
        self.assertEqual(await store.get_rooms_with_guests(), ["!1:test", "!4:test"])
        self.assertEqual(await store.get_guests_in_room("!1:test"), [GUEST])
        self.assertEqual(await store.get_guests_in_room("!3:test"), [])
        await store.upgrade_guest(NewUser(GUEST, "hash", None), None)
        self.assertEqual(await store.get_rooms_with_guests(), [])

    async def test_of_many_upgrades_of_a_guest_one_is_done(self) -> None:
        store = await self.make_store()
        await store.register_user(NewUser(GUEST, None, None, is_guest=True), None)

        async def upgrade(number: int) -> bool:
            login = NewLogin(f"D{number}", None, f"token {number}")
            try:
                await store.upgrade_guest(NewUser(GUEST, f"hash {number}", None), login)
            except UserExistsError:
                return False
            return True

        done = await gather_list([upgrade(number) for number in range(4)])
        self.assertEqual(done.count(True), 1)
        self.assertEqual(await store.get_password_hash(GUEST), f"hash {done.index(True)}")
        devices = [device.device_id for device in await store.get_devices(GUEST)]
        self.assertEqual(devices, [f"D{done.index(True)}"])

    async def test_an_address_goes_to_one_account(self) -> None:
        store = await self.make_store()
        done = await gather_list([store.add_threepid(user, EMAIL, 1) for user in (ALICE, BOB)])
        self.assertEqual(sorted(done), [False, True])
        owner = (ALICE, BOB)[done.index(True)]
        self.assertEqual(await store.get_user_of_threepid(EMAIL), owner)
        self.assertTrue(await store.add_threepid(owner, EMAIL, 2))
        (found,) = await store.get_threepids(owner)
        self.assertEqual((found.threepid, found.validated_ts), (EMAIL, 1))
        self.assertTrue(await store.delete_threepid(owner, EMAIL))
        self.assertFalse(await store.delete_threepid(owner, EMAIL))

    async def test_a_login_token_logs_in_once(self) -> None:
        store = await self.make_store()
        ends = self.clock.time_ms() + 60_000
        await store.add_login_token(ALICE, "hash", ends)
        self.assertEqual(await store.get_user_of_login_token("hash"), ALICE)
        logins = [NewLogin(f"D{number}", None, f"token {number}") for number in range(4)]
        done = await gather_list(
            [store.log_in_with_token(ALICE, "hash", login) for login in logins]
        )
        self.assertEqual(done.count(True), 1)
        self.assertEqual(len(await store.get_devices(ALICE)), 1)

    async def test_what_has_expired_is_good_for_nothing_and_forgotten(self) -> None:
        store = await self.make_store()
        for ends in (self.clock.time_ms() - 1, self.clock.time_ms() + 60_000):
            await store.add_login_token(ALICE, f"login {ends}", ends)
            await store.add_openid_token(ALICE, f"openid {ends}", ends)
        old = self.clock.time_ms() - 1
        self.assertIsNone(await store.get_user_of_login_token(f"login {old}"))
        self.assertIsNone(await store.get_user_of_openid_token(f"openid {old}"))
        await store.forget_expired_short_tokens()
        await store.forget_superseded_tokens()
        for table in ("login_tokens", "openid_tokens"):
            rows = await self.db.read("left", lambda txn, t=table: txn.select(t, ("user_id",)))
            self.assertEqual(rows, [(ALICE,)])

    async def test_flags_of_accounts(self) -> None:
        store = await self.make_store()
        await store.register_user(NewUser(ALICE, None, None), None)
        self.assertFalse((await store.get_user(ALICE)).is_suspended)
        self.assertTrue(await store.set_suspended(ALICE, True))
        self.assertTrue((await store.get_user(ALICE)).is_suspended)
        self.assertFalse(await store.set_suspended(BOB, True))


class MemoryAccountTablesTests(EveryAccountTables, MemoryDatabase):
    pass


class FileAccountTablesTests(EveryAccountTables, FileDatabase):
    pass


class PostgresAccountTablesTests(EveryAccountTables, PostgresDatabase):
    pass
