"""A token that was deleted is good for nothing, in whatever order the master hears of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import NotFoundError
from synapse_lite.storage.access_tokens import hash_token
from synapse_lite.storage.transaction import Transaction
from tests.harness.homeserver import make_master, now


class AccessTokensTests(TestCase):
    def test_a_deletion_whose_effects_come_before_those_of_the_insertion(self) -> None:
        store = make_master().store
        late: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

        def insert(txn: Transaction) -> int:
            token_id: int = store._insert_access_token_txn(txn, "@alice:test", "token", "D")
            late.extend(txn.after)
            txn.after.clear()
            return token_id

        token_id = now(store.db.run("insert", insert))
        self.assertEqual(now(store.get_access_token(hash_token("token"))).device_id, "D")
        now(store.delete_access_token(token_id))
        for fn, args in late:
            fn(*args)
        with self.assertRaises(NotFoundError):
            now(store.get_access_token(hash_token("token")))
