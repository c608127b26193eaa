"""Rate limits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import TestCase

from synapse_lite.util.clock import Clock
from synapse_lite.util.ratelimiter import Ratelimiter


class RatelimiterTestCase(TestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.reactor.advance(1_700_000_000.123)
        self.limiter = Ratelimiter(Clock(self.reactor), 0.2, 3)

    def test_burst_then_the_rate(self) -> None:
        self.assertEqual([self.limiter.check("a") for _ in range(5)], [0, 0, 0, 5000, 5000])
        self.reactor.advance(4)
        self.assertEqual(self.limiter.check("a"), 1000)
        self.reactor.advance(1)
        self.assertEqual([self.limiter.check("a") for _ in range(2)], [0, 5000])

    def test_keys_are_apart(self) -> None:
        for _ in range(3):
            self.limiter.check("a")
        self.assertEqual(self.limiter.check("b"), 0)

    def test_whoever_waits_as_told_is_let_in(self) -> None:
        for _ in range(3):
            self.limiter.check("a")
        for _ in range(50):
            self.reactor.advance(self.limiter.check("a") / 1000)
            self.assertEqual(self.limiter.check("a"), 0)

    def test_only_asking_counts_nothing(self) -> None:
        for _ in range(10):
            self.assertEqual(self.limiter.check("a", update=False), 0)
        self.assertEqual(len(self.limiter), 0)

    def test_several_at_once(self) -> None:
        self.assertEqual(self.limiter.check("a", 3), 0)
        self.assertEqual(self.limiter.check("a", 2), 10_000)

    def test_limits_of_one_call(self) -> None:
        allowed = [self.limiter.check("a", per_second=1, burst_count=5) for _ in range(6)]
        self.assertEqual(allowed, [0, 0, 0, 0, 0, 1000])

    def test_a_rate_of_nothing_allows_the_burst_only(self) -> None:
        limiter = Ratelimiter(Clock(self.reactor), 0, 2)
        self.assertEqual([limiter.check("a") for _ in range(2)], [0, 0])
        self.reactor.advance(3600)
        self.assertGreater(limiter.check("a"), 0)

    def test_a_clock_set_back_locks_nobody_out(self) -> None:
        for _ in range(3):
            self.limiter.check("a")
        self.reactor.rightNow -= 7200
        self.assertEqual(self.limiter.check("a"), 5000)
        self.reactor.advance(5)
        self.assertEqual(self.limiter.check("a"), 0)

    def test_memory_is_bounded(self) -> None:
        limiter = Ratelimiter(Clock(self.reactor), 0.2, 3, max_keys=10)
        for number in range(100):
            limiter.check(number)
        self.assertEqual(len(limiter), 10)

    def test_full_buckets_are_forgotten(self) -> None:
        for number in range(10):
            self.limiter.check(number)
        self.reactor.advance(60)
        for number in range(10, 20):
            self.limiter.check(number)
        self.assertEqual(len(self.limiter), 10)

    @settings(deadline=None)
    @given(
        st.floats(0.01, 100),
        st.integers(1, 20),
        st.lists(st.floats(0, 30), min_size=1, max_size=60),
    )
    def test_never_more_than_burst_and_rate(
        self, rate: float, burst: int, pauses: list[float]
    ) -> None:
        reactor = FakeReactor()
        reactor.advance(1_700_000_000)
        limiter = Ratelimiter(Clock(reactor), rate, burst)
        passed = 0.0
        done = 0
        for pause in pauses:
            reactor.advance(pause)
            passed += pause
            while limiter.check("k") == 0:
                done += 1
                self.assertLessEqual(done, burst + passed * rate + 0.01)
        self.assertGreaterEqual(done, burst)
