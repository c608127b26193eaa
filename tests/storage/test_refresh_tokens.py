"""Refresh tokens on every database, when several things happen to a session at once."""

from __future__ import annotations

from typing import Any

from synapse_lite.api.errors import NotFoundError
from synapse_lite.storage._base import MasterStore
from synapse_lite.storage.access_tokens import AccessToken, hash_token
from synapse_lite.storage.devices import NewLogin
from synapse_lite.storage.refresh_tokens import NewRefreshToken, NewTokens
from synapse_lite.storage.registration import RegistrationStore
from synapse_lite.util.async_helpers import gather_list
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase
from tests.storage.stores import make_store

ALICE = "@alice:test"


class SessionStore(RegistrationStore, MasterStore):
    """Sessions of users."""


class EveryRefreshTokens(DatabaseCase):
    async def make_store(self) -> Any:
        return await make_store(self, SessionStore)

    async def log_in(self, store: Any) -> int:
        """Returns the id of the refresh token."""
        refresh = NewRefreshToken("refresh 0")
        await store.log_in_device(ALICE, NewLogin("PHONE", None, "access 0", refresh=refresh))
        found = await store.get_refresh_token(hash_token("refresh 0"))
        assert found is not None
        token_id: int = found.token_id
        return token_id

    @staticmethod
    def tokens(number: int) -> NewTokens:
        return NewTokens(f"access {number}", None, NewRefreshToken(f"refresh {number}"))

    async def living(self, store: Any, text: str) -> AccessToken | None:
        """The access token, unless it is gone or has expired."""
        try:
            found: AccessToken = await store.get_access_token(hash_token(text))
        except NotFoundError:
            return None
        if found.expires_ts is not None and found.expires_ts <= self.clock.time_ms():
            return None
        return found

    async def test_many_refreshes_at_once_leave_a_session_that_works(self) -> None:
        store = await self.make_store()
        token_id = await self.log_in(store)
        done = await gather_list(
            [store.refresh_session(token_id, self.tokens(number)) for number in range(1, 6)]
        )
        self.assertEqual(done, [True] * 5)
        found = [await self.living(store, f"access {number}") for number in range(1, 6)]
        alive = [token for token in found if token is not None]
        self.assertEqual(len(alive), 3)
        first = alive[0]
        self.assertTrue(first.unconfirmed)
        assert first.refresh_token_id is not None
        await store.confirm_refresh_token(first.refresh_token_id)
        self.assertIsNone(await store.get_refresh_token(hash_token("refresh 0")))
        self.assertIsNone(await self.living(store, "access 0"))
        left = [await self.living(store, f"access {number}") for number in range(1, 6)]
        self.assertEqual([token.token_id for token in left if token], [first.token_id])
        self.assertEqual([token.unconfirmed for token in left if token], [False])

    async def test_a_log_out_ends_what_is_refreshed_at_the_same_time(self) -> None:
        store = await self.make_store()
        token_id = await self.log_in(store)
        await gather_list(
            [
                store.refresh_session(token_id, self.tokens(1)),
                store.log_out_everywhere(ALICE),
                store.refresh_session(token_id, self.tokens(2)),
            ]
        )
        for number in range(3):
            self.assertIsNone(await self.living(store, f"access {number}"))
            found = await store.get_refresh_token(hash_token(f"refresh {number}"))
            self.assertIsNone(found)
        self.assertFalse(await store.refresh_session(token_id, self.tokens(3)))

    async def test_confirming_may_be_repeated(self) -> None:
        store = await self.make_store()
        token_id = await self.log_in(store)
        await store.refresh_session(token_id, self.tokens(1))
        fresh = await self.living(store, "access 1")
        assert fresh is not None
        await gather_list([store.confirm_refresh_token(fresh.refresh_token_id) for _ in range(3)])
        self.assertIsNotNone(await self.living(store, "access 1"))
        self.assertIsNotNone(await store.get_refresh_token(hash_token("refresh 1")))


class MemoryRefreshTokensTests(EveryRefreshTokens, MemoryDatabase):
    pass


class FileRefreshTokensTests(EveryRefreshTokens, FileDatabase):
    pass


class PostgresRefreshTokensTests(EveryRefreshTokens, PostgresDatabase):
    pass
