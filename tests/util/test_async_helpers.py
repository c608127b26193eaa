"""Waiting, sharing, queueing, giving up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import TestCase

from synapse_lite.util.async_helpers import (
    Linearizer,
    Outcome,
    SharedCall,
    TimedOutError,
    Wakeup,
    gather,
    gather_list,
    run_in_background,
    with_timeout,
)
from synapse_lite.util.background import start
from synapse_lite.util.clock import Clock


async def fail_with(message: str) -> None:
    raise RuntimeError(message)


class BackgroundTestCase(TestCase):
    def test_result(self) -> None:
        async def double(number: int, *, plus: int) -> int:
            return 2 * number + plus

        self.assertEqual(self.successResultOf(run_in_background(double, 3, plus=1)), 7)

    def test_failure_is_logged_with_traceback_and_swallowed(self) -> None:
        with self.assertLogs("synapse_lite.util.background", "ERROR") as logs:
            result = self.successResultOf(run_in_background(fail_with, "broken"))
        self.assertIsNone(result)
        self.assertIn("fail_with failed", logs.output[0])
        self.assertIn("Traceback", logs.output[0])
        self.assertIn("RuntimeError: broken", logs.output[0])

    def test_failure_to_begin_is_logged(self) -> None:
        def begin() -> Awaitable[None]:
            raise RuntimeError("not begun")

        with self.assertLogs("synapse_lite.util.background", "ERROR") as logs:
            self.successResultOf(run_in_background(begin))
        self.assertIn("not begun", logs.output[0])

    def test_cancelling_cancels_the_work_silently(self) -> None:
        gate: Deferred[None] = Deferred()
        seen: list[str] = []

        async def work() -> None:
            try:
                await gate
            except CancelledError:
                seen.append("cancelled")
                raise

        with self.assertNoLogs("synapse_lite.util.background", "INFO"):
            running = run_in_background(work)
            running.cancel()
        self.assertIsNone(self.successResultOf(running))
        self.assertEqual(seen, ["cancelled"])


class GatherTestCase(TestCase):
    def test_runs_at_once_and_keeps_order(self) -> None:
        first: Deferred[str] = Deferred()
        second: Deferred[str] = Deferred()
        both = start(gather(first, second))
        second.callback("b")
        self.assertNoResult(both)
        first.callback("a")
        self.assertEqual(self.successResultOf(both), ("a", "b"))

    def test_first_error_in_time_is_raised_as_it_is(self) -> None:
        first: Deferred[str] = Deferred()
        second: Deferred[str] = Deferred()
        both = start(gather_list([first, second]))
        second.errback(KeyError("second"))
        self.failureResultOf(both, KeyError)
        first.errback(ValueError("late"))  # dropped, not an unhandled error

    def test_empty(self) -> None:
        self.assertEqual(self.successResultOf(start(gather_list([]))), [])

    def test_cancelling_cancels_all(self) -> None:
        cancelled: list[int] = []
        parts: list[Deferred[None]] = [
            Deferred(lambda _, n=n: cancelled.append(n)) for n in range(3)
        ]
        running = start(gather_list(parts))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(cancelled, [0, 1, 2])


class OutcomeTestCase(TestCase):
    def test_everybody_gets_the_value_before_and_after(self) -> None:
        outcome: Outcome[int] = Outcome()
        early = [outcome.wait(), outcome.wait()]
        outcome.resolve(5)
        self.assertEqual([self.successResultOf(d) for d in (*early, outcome.wait())], [5, 5, 5])

    def test_everybody_gets_the_failure(self) -> None:
        source: Deferred[int] = Deferred()
        outcome = Outcome.of(source)
        early = outcome.wait()
        source.errback(KeyError("x"))
        self.failureResultOf(early, KeyError)
        self.failureResultOf(outcome.wait(), KeyError)

    def test_failure_after_all_have_gone_is_logged(self) -> None:
        source: Deferred[int] = Deferred()
        outcome = Outcome.of(source)
        waiter = outcome.wait()
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        with self.assertLogs("synapse_lite.util.async_helpers", "WARNING") as logs:
            source.errback(KeyError("x"))
        self.assertIn("KeyError", logs.output[0])


class WakeupTestCase(TestCase):
    def test_wakes_everybody_once(self) -> None:
        wakeup = Wakeup()
        early = [wakeup.wait(), wakeup.wait()]
        for waiter in early:
            self.assertNoResult(waiter)
        self.assertFalse(wakeup.is_fired)
        wakeup.fire()
        wakeup.fire()
        self.assertTrue(wakeup.is_fired)
        for waiter in (*early, wakeup.wait()):
            self.assertIsNone(self.successResultOf(waiter))

    def test_who_is_cancelled_does_not_wake_the_others(self) -> None:
        wakeup = Wakeup()
        gone, staying = wakeup.wait(), wakeup.wait()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertNoResult(staying)
        wakeup.fire()
        self.successResultOf(staying)


class SharedCallTestCase(TestCase):
    def setUp(self) -> None:
        self.shared: SharedCall[str, str] = SharedCall()
        self.runs: list[Deferred[str]] = []

    def fetch(self) -> Deferred[str]:
        self.runs.append(Deferred())
        return self.runs[-1]

    def test_one_key_shares_one_call(self) -> None:
        calls = [start(self.shared.get("k", self.fetch)) for _ in range(3)]
        other = start(self.shared.get("other", self.fetch))
        self.assertEqual(len(self.runs), 2)
        self.assertTrue(self.shared.is_running("k"))
        self.runs[0].callback("v")
        self.assertEqual([self.successResultOf(call) for call in calls], ["v"] * 3)
        self.assertNoResult(other)
        self.assertFalse(self.shared.is_running("k"))
        start(self.shared.get("k", self.fetch))
        self.assertEqual(len(self.runs), 3)

    def test_failure_reaches_all_and_the_next_call_tries_again(self) -> None:
        calls = [start(self.shared.get("k", self.fetch)) for _ in range(2)]
        self.runs[0].errback(KeyError("x"))
        for call in calls:
            self.failureResultOf(call, KeyError)
        again = start(self.shared.get("k", lambda: succeed("v")))
        self.assertEqual(self.successResultOf(again), "v")

    def test_cancelling_one_caller_leaves_the_call_running(self) -> None:
        gone = start(self.shared.get("k", self.fetch))
        staying = start(self.shared.get("k", self.fetch))
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.runs[0].callback("v")
        self.assertEqual(self.successResultOf(staying), "v")

    def test_a_call_that_cannot_begin_does_not_block_its_key(self) -> None:
        def begin() -> Awaitable[str]:
            raise KeyError("x")

        self.failureResultOf(start(self.shared.get("k", begin)), KeyError)
        self.assertFalse(self.shared.is_running("k"))


class TimeoutTestCase(TestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.clock = Clock(self.reactor)

    def test_in_time(self) -> None:
        work: Deferred[int] = Deferred()
        running = start(with_timeout(work, 5, self.clock))
        self.reactor.advance(4)
        work.callback(1)
        self.assertEqual(self.successResultOf(running), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_done_at_once_needs_no_timer(self) -> None:
        self.assertEqual(self.successResultOf(start(with_timeout(succeed(1), 5, self.clock))), 1)

    def test_failure_in_time_is_raised(self) -> None:
        work: Deferred[int] = Deferred()
        running = start(with_timeout(work, 5, self.clock))
        work.errback(KeyError("x"))
        self.failureResultOf(running, KeyError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_too_late_cancels_and_raises(self) -> None:
        cancelled: list[bool] = []
        work: Deferred[int] = Deferred(lambda _: cancelled.append(True))
        running = start(with_timeout(work, 5, self.clock))
        self.reactor.advance(5)
        self.failureResultOf(running, TimedOutError)
        self.assertEqual(cancelled, [True])

    def test_work_that_ignores_its_cancellation_is_left_behind(self) -> None:
        gate: Deferred[None] = Deferred()

        async def stubborn() -> None:
            try:
                await gate
            except CancelledError:
                await later
            raise KeyError("after all")

        later: Deferred[None] = Deferred()
        running = start(with_timeout(stubborn(), 5, self.clock))
        self.reactor.advance(5)
        self.failureResultOf(running, TimedOutError)
        with self.assertLogs("synapse_lite.util.async_helpers", "WARNING") as logs:
            later.callback(None)
        self.assertIn("after all", logs.output[0])

    def test_cancelling_the_caller_cancels_the_work(self) -> None:
        cancelled: list[bool] = []
        work: Deferred[int] = Deferred(lambda _: cancelled.append(True))
        running = start(with_timeout(work, 5, self.clock))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(cancelled, [True])
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class LinearizerTestCase(TestCase):
    def setUp(self) -> None:
        self.linearizer = Linearizer("test")
        self.log: list[str] = []

    def enter(
        self, name: str, key: str = "k", linearizer: Linearizer | None = None
    ) -> tuple[Deferred[None], Callable[[], None]]:
        """Start a stay; returns it, and what ends it."""
        gate: Deferred[None] = Deferred()

        async def stay() -> None:
            async with (linearizer or self.linearizer).queue(key):
                self.log.append(name)
                await gate

        return start(stay()), lambda: gate.callback(None)

    def test_one_at_a_time_in_the_order_of_coming(self) -> None:
        stays = [self.enter(name) for name in "abc"]
        self.assertEqual(self.log, ["a"])
        stays[0][1]()
        self.assertEqual(self.log, ["a", "b"])
        late = self.enter("d")
        stays[1][1]()
        self.assertEqual(self.log, ["a", "b", "c"])
        stays[2][1]()
        late[1]()
        self.assertEqual(self.log, ["a", "b", "c", "d"])
        for stay, _ in (*stays, late):
            self.successResultOf(stay)
        self.assertFalse(self.linearizer.is_held("k"))

    def test_keys_do_not_wait_for_each_other(self) -> None:
        self.enter("a", "k1")
        self.enter("b", "k2")
        self.assertEqual(self.log, ["a", "b"])

    def test_max_count(self) -> None:
        linearizer = Linearizer("test", 2)
        stays = [self.enter(name, linearizer=linearizer) for name in "abcd"]
        self.assertEqual(self.log, ["a", "b"])
        stays[1][1]()
        self.assertEqual(self.log, ["a", "b", "c"])
        stays[0][1]()
        self.assertEqual(self.log, ["a", "b", "c", "d"])

    def test_failure_inside_lets_the_next_in(self) -> None:
        async def broken() -> None:
            async with self.linearizer.queue("k"):
                raise KeyError("x")

        first, end = self.enter("a")
        failing = start(broken())
        self.enter("b")
        end()
        self.successResultOf(first)
        self.failureResultOf(failing, KeyError)
        self.assertEqual(self.log, ["a", "b"])

    def test_cancelled_while_waiting_is_passed_over(self) -> None:
        _, end = self.enter("a")
        gone, _ = self.enter("b")
        self.enter("c")
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual(self.log, ["a"])
        end()
        self.assertEqual(self.log, ["a", "c"])

    def test_cancelled_while_inside_lets_the_next_in(self) -> None:
        inside, _ = self.enter("a")
        self.enter("b")
        inside.cancel()
        self.failureResultOf(inside, CancelledError)
        self.assertEqual(self.log, ["a", "b"])

    def test_all_waiters_cancelled_frees_the_key(self) -> None:
        _, end = self.enter("a")
        gone, _ = self.enter("b")
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        end()
        self.assertFalse(self.linearizer.is_held("k"))

    def test_long_queue_of_short_stays(self) -> None:
        """Thousands of stays that never wait do not exhaust the stack."""
        count = 5000
        done: list[int] = []

        async def stay(number: int) -> None:
            async with self.linearizer.queue("k"):
                done.append(number)

        _, end = self.enter("first")
        waiting = [start(stay(number)) for number in range(count)]
        end()
        self.assertEqual(done, list(range(count)))
        for each in waiting:
            self.successResultOf(each)

    def test_with_a_clock_the_reactor_gets_a_turn(self) -> None:
        reactor = FakeReactor()
        linearizer = Linearizer("test", clock=Clock(reactor))
        done: list[int] = []

        async def stay(number: int) -> None:
            async with linearizer.queue("k"):
                done.append(number)

        _, end = self.enter("first", linearizer=linearizer)
        for number in range(70):
            start(stay(number))
        end()
        self.assertLess(len(done), 70)
        start(stay(70))  # who comes now does not overtake
        reactor.advance(0)
        self.assertEqual(done, list(range(71)))
        self.assertFalse(linearizer.is_held("k"))
