"""Time and timers."""

from __future__ import annotations

import time
from contextvars import ContextVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import TestCase

from synapse_lite.util.background import start
from synapse_lite.util.clock import Clock

variable: ContextVar[str] = ContextVar("variable", default="outside")


class ClockTestCase(TestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.clock = Clock(self.reactor)
        self.calls: list[object] = []

    def test_time_is_that_of_the_reactor(self) -> None:
        self.reactor.advance(12.3456)
        self.assertEqual(self.clock.time(), 12.3456)
        self.assertEqual(self.clock.time_ms(), 12345)

    def test_how_long_ago_is_that_of_a_fake_reactor(self) -> None:
        self.reactor.advance(7.5)
        self.assertEqual(self.clock.monotonic(), 7.5)

    def test_how_long_ago_is_not_asked_of_the_wall_clock(self) -> None:
        clock = Clock(reactor)  # type: ignore[arg-type]  # the module stands for the reactor
        before = clock.monotonic()
        self.patch(time, "time", lambda: 0.0)
        self.patch(reactor, "seconds", lambda: 0.0)
        self.assertTrue(before <= clock.monotonic() < before + 60)

    def test_later_calls_once_with_its_arguments(self) -> None:
        self.clock.later(5, self.calls.append, "a")
        self.reactor.advance(4.9)
        self.assertEqual(self.calls, [])
        self.reactor.advance(0.2)
        self.reactor.advance(20)
        self.assertEqual(self.calls, ["a"])

    def test_later_can_be_cancelled(self) -> None:
        self.clock.later(5, self.calls.append, "a").cancel()
        self.reactor.advance(10)
        self.assertEqual(self.calls, [])

    def test_later_runs_coroutines_in_the_context_of_now(self) -> None:
        async def work() -> None:
            await self.clock.sleep(1)
            self.calls.append(variable.get())

        token = variable.set("inside")
        self.clock.later(1, work)
        variable.reset(token)
        self.reactor.pump([1, 1])
        self.assertEqual(self.calls, ["inside"])

    def test_later_logs_a_failure(self) -> None:
        async def work() -> None:
            raise RuntimeError("broken")

        with self.assertLogs("synapse_lite.util.background", "ERROR") as logs:
            self.clock.later(1, work)
            self.reactor.advance(1)
        self.assertIn("RuntimeError: broken", logs.output[0])

    def test_sleep_waits(self) -> None:
        sleeping = start(self.clock.sleep(3))
        self.reactor.advance(2.9)
        self.assertNoResult(sleeping)
        self.reactor.advance(0.2)
        self.assertIsNone(self.successResultOf(sleeping))

    def test_cancelled_sleep_leaves_no_timer(self) -> None:
        sleeping = start(self.clock.sleep(3))
        sleeping.cancel()
        self.failureResultOf(sleeping)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class EveryTestCase(TestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.clock = Clock(self.reactor)
        self.times: list[float] = []

    def note(self) -> None:
        self.times.append(self.reactor.seconds())

    def test_repeats_from_one_interval_on(self) -> None:
        self.clock.every(10, self.note, name="note")
        self.reactor.pump([5] * 7)
        self.assertEqual(self.times, [10, 20, 30])

    def test_stop(self) -> None:
        repeating = self.clock.every(10, self.note, name="note")
        self.reactor.advance(10)
        repeating.stop()
        repeating.stop()
        self.reactor.pump([10] * 3)
        self.assertEqual(self.times, [10])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop_from_inside_a_round(self) -> None:
        def once() -> None:
            self.note()
            repeating.stop()

        repeating = self.clock.every(10, once, name="once")
        self.reactor.pump([10] * 3)
        self.assertEqual(self.times, [10])

    def test_survives_failing_rounds_sync_and_async(self) -> None:
        async def fail_later() -> None:
            self.note()
            await self.clock.sleep(1)
            raise RuntimeError("second")

        def fail() -> None:
            self.note()
            raise RuntimeError("first")

        self.clock.every(10, fail, name="sync work")
        self.clock.every(10, fail_later, name="async work")
        with self.assertLogs("synapse_lite.util.background", "ERROR") as logs:
            self.reactor.pump([5] * 7)
        self.assertEqual(self.times, [10, 10, 20, 20, 30, 30])
        self.assertEqual(sum("sync work failed" in line for line in logs.output), 6)

    def test_rounds_do_not_overlap_and_hidden_ones_are_left_out(self) -> None:
        async def slow() -> None:
            self.note()
            await self.clock.sleep(25)
            self.times.append(-self.reactor.seconds())

        self.clock.every(10, slow, name="slow")
        self.reactor.pump([5] * 13)
        # Began at 10, over at 35, next multiple of 10 is 40.
        self.assertEqual(self.times, [10, -35, 40, -65])

    def test_goes_on_when_the_wall_clock_is_set_back(self) -> None:
        self.reactor.advance(100_000)

        def set_back_once() -> None:
            self.note()
            if len(self.times) == 1:
                self.reactor.rightNow = 50_000.0

        self.clock.every(10, set_back_once, name="set back")
        self.reactor.advance(10)
        self.reactor.pump([5] * 4)
        self.assertEqual(self.times, [100_010, 50_010, 50_020])

    def test_rounds_run_outside_the_context_that_started_them(self) -> None:
        seen: list[str] = []
        token = variable.set("inside")
        self.clock.every(1, lambda: seen.append(variable.get()), name="look")
        variable.reset(token)
        self.reactor.advance(1)
        self.assertEqual(seen, ["outside"])

    def test_interval_of_nothing_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            self.clock.every(0, self.note, name="note")

    def test_stopped_while_a_round_runs_begins_no_other(self) -> None:
        gate: Deferred[None] = Deferred()

        async def wait() -> None:
            self.note()
            await gate

        repeating = self.clock.every(10, wait, name="wait")
        self.reactor.advance(10)
        repeating.stop()
        gate.callback(None)
        self.reactor.pump([10] * 3)
        self.assertEqual(self.times, [10])
