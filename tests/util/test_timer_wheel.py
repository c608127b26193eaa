"""Keys that become due."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.util.timer_wheel import TimerWheel


class TimerWheelTests(TestCase):
    def setUp(self) -> None:
        self.wheel: TimerWheel[str] = TimerWheel(5_000)

    def test_never_too_early_and_late_by_less_than_a_bucket(self) -> None:
        self.wheel.set("a", 12_000)
        self.assertEqual(self.wheel.take_due(12_000), [])
        self.assertEqual(self.wheel.take_due(14_999), [])
        self.assertEqual(self.wheel.take_due(15_000), ["a"])
        self.assertEqual(self.wheel.take_due(20_000), [])
        self.assertEqual(len(self.wheel), 0)

    def test_earliest_first_also_after_a_pause(self) -> None:
        self.wheel.set("late", 31_000)
        self.wheel.set("early", 2_000)
        self.wheel.set("later", 99_000)
        self.assertEqual(self.wheel.take_due(60_000), ["early", "late"])
        self.assertEqual(len(self.wheel), 1)

    def test_a_key_is_due_once(self) -> None:
        self.wheel.set("a", 12_000)
        self.wheel.set("a", 12_001)
        self.wheel.set("a", 31_000)
        self.assertEqual(self.wheel.take_due(30_000), [])
        self.wheel.set("a", 1_000)
        self.assertEqual(self.wheel.take_due(30_000), ["a"])
        self.assertEqual(self.wheel.take_due(90_000), [])

    def test_a_key_that_is_discarded(self) -> None:
        self.wheel.set("a", 1_000)
        self.wheel.set("b", 1_000)
        self.wheel.discard("a")
        self.wheel.discard("a")
        self.assertEqual(self.wheel.take_due(90_000), ["b"])
