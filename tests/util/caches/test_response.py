"""Shared answers."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import TestCase

from synapse_lite.util.background import start
from synapse_lite.util.caches.response import ResponseCache
from synapse_lite.util.clock import Clock


class ResponseCacheTestCase(TestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.made: list[Deferred[str]] = []

    def make(self) -> Deferred[str]:
        self.made.append(Deferred())
        return self.made[-1]

    def cache(self, ttl_ms: int) -> ResponseCache[str, str]:
        return ResponseCache(Clock(self.reactor), "c", ttl_ms)

    def test_shares_what_is_being_made_and_keeps_it(self) -> None:
        cache = self.cache(5000)
        answers = [start(cache.get("k", self.make)) for _ in range(2)]
        self.reactor.advance(60)
        self.made[0].callback("v")
        self.assertEqual([self.successResultOf(answer) for answer in answers], ["v", "v"])
        self.reactor.advance(4.9)
        self.assertEqual(self.successResultOf(start(cache.get("k", self.make))), "v")
        self.assertEqual(len(self.made), 1)
        self.reactor.advance(0.1)
        self.assertNoResult(start(cache.get("k", self.make)))
        self.assertEqual(len(self.made), 2)

    def test_keeps_nothing_when_told_so(self) -> None:
        cache = self.cache(0)
        first = start(cache.get("k", self.make))
        self.made[0].callback("v")
        self.successResultOf(first)
        start(cache.get("k", self.make))
        self.assertEqual(len(self.made), 2)

    def test_failures_are_not_kept(self) -> None:
        cache = self.cache(5000)
        first = start(cache.get("k", self.make))
        self.made[0].errback(KeyError("x"))
        self.failureResultOf(first, KeyError)
        second = start(cache.get("k", self.make))
        self.made[1].callback("v")
        self.assertEqual(self.successResultOf(second), "v")

    def test_forget(self) -> None:
        cache = self.cache(5000)
        start(cache.get("k", self.make))
        self.made[0].callback("v")
        cache.forget("k")
        start(cache.get("k", self.make))
        self.assertEqual(len(self.made), 2)
