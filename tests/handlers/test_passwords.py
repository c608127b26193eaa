"""Hashing and checking passwords; the policy for new ones."""

from __future__ import annotations

from typing import Any

import bcrypt
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import InvalidParamError, LimitExceededError, WeakPasswordError
from synapse_lite.handlers import passwords
from synapse_lite.handlers.passwords import PasswordHandler
from synapse_lite.util.background import start
from synapse_lite.util.threads import Threads
from tests.harness.homeserver import make_master, now


class HeldThreads(Threads):
    """Work that stays under way until it is let go."""

    def __init__(self) -> None:
        self.held: list[Deferred[None]] = []

    async def run(self, fn: Any) -> Any:
        """Wait, then run."""
        waiting: Deferred[None] = Deferred()
        self.held.append(waiting)
        await waiting
        return fn()


def make(**overrides: Any) -> PasswordHandler:
    return make_master(overrides).hs.part(PasswordHandler)


class HashTests(TestCase):
    def test_what_is_hashed_fits(self) -> None:
        handler = make()
        hashed = now(handler.hash("pass wörd"))
        self.assertTrue(hashed.startswith("$2b$04$"))
        self.assertTrue(now(handler.is_right("pass wörd", hashed)))
        self.assertFalse(now(handler.is_right("pass word", hashed)))

    def test_hashes_are_plain_bcrypt_with_the_pepper_at_the_end(self) -> None:
        """As existing databases hold them."""
        handler = make(password_config={"pepper": "salt"})
        existing = bcrypt.hashpw(b"secretsalt", bcrypt.gensalt(4)).decode()
        self.assertTrue(now(handler.is_right("secret", existing)))
        self.assertFalse(now(make().is_right("secret", existing)))

    def test_one_password_written_in_two_ways(self) -> None:
        handler = make()
        hashed = now(handler.hash("caf\u00e9"))
        self.assertTrue(now(handler.is_right("cafe\u0301", hashed)))

    def test_long_passwords_work(self) -> None:
        handler = make()
        hashed = now(handler.hash("x" * 512))
        self.assertTrue(now(handler.is_right("x" * 512, hashed)))

    def test_no_password_fits_nobody_but_each_is_hashed(self) -> None:
        master = make_master()
        calls = []

        class CountingThreads(Threads):
            async def run(self, fn: Any) -> Any:
                calls.append(fn)
                return fn()

        master.hs.provide(Threads, CountingThreads(master.hs))
        handler = PasswordHandler(master.hs)
        self.assertFalse(now(handler.is_right("", None)))
        self.assertFalse(now(handler.is_right("x", None)))
        self.assertEqual(len(calls), 2)

    def test_the_hash_of_nobody_costs_as_much_as_a_real_one(self) -> None:
        handler = make()
        self.assertEqual(handler._nobody[:7], now(handler.hash("x"))[:7].encode())


class QueueTests(TestCase):
    def test_few_at_once_and_a_bounded_queue(self) -> None:
        self.patch(passwords, "_MAX_WAITING", 4)
        master = make_master()
        threads = HeldThreads()
        master.hs.provide(Threads, threads)
        handler = PasswordHandler(master.hs)
        waiting = [start(handler.is_right("x", None)) for _ in range(4)]
        self.assertEqual(len(threads.held), 2)
        self.failureResultOf(start(handler.is_right("x", None)), LimitExceededError)
        while threads.held:
            threads.held.pop(0).callback(None)
        self.assertEqual([self.successResultOf(one) for one in waiting], [False] * 4)


class PolicyTests(TestCase):
    def test_without_policy_anything_but_nothing(self) -> None:
        handler = make()
        handler.check_policy("x")
        self.assertRaises(WeakPasswordError, handler.check_policy, "")
        self.assertRaises(InvalidParamError, handler.check_policy, "x" * 513)

    def test_each_demand(self) -> None:
        for demand, bad, good in (
            ({"minimum_length": 4}, "abc", "abcd"),
            ({"require_digit": True}, "abc", "abc1"),
            ({"require_symbol": True}, "abc1", "abc1!"),
            ({"require_lowercase": True}, "ABC", "ABc"),
            ({"require_uppercase": True}, "abc", "abC"),
        ):
            handler = make(password_config={"policy": {"enabled": True, **demand}})
            self.assertRaises(WeakPasswordError, handler.check_policy, bad)
            handler.check_policy(good)
            off = make(password_config={"policy": {"enabled": False, **demand}})
            off.check_policy(bad)
