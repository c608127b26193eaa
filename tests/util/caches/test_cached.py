"""Cached reads of stores."""

from __future__ import annotations

from collections.abc import Awaitable

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from synapse_lite.util.async_helpers import gather
from synapse_lite.util.background import start
from synapse_lite.util.caches.cached import MISSING, CachedMethod, cached, cached_list
from synapse_lite.util.caches.registry import CacheRegistry


class Base:
    """What the stores of these tests are made of."""

    def __init__(self, total_bytes: int = 10_000_000, factor: float = 1.0) -> None:
        self.caches = CacheRegistry(total_bytes, factor)
        self.reads: list[object] = []
        self.gates: list[Deferred[object]] = []
        self.caches.build_all(self)

    async def gate(self) -> object:
        self.gates.append(Deferred())
        return await self.gates[-1]


class Users(Base):
    @cached()
    async def get_user(self, name: str, server: str = "home", *, version: int = 1) -> str:
        """The user."""
        self.reads.append((name, server, version))
        return f"{name}@{server}/{version}"

    @cached()
    async def get_slow(self, key: str) -> object:
        self.reads.append(key)
        return await self.gate()

    @cached(key=("room",))
    async def get_heads(self, limit: int, room: str) -> list[int]:
        self.reads.append((limit, room))
        return [limit]

    @cached(key=())
    async def get_only(self) -> int | None:
        self.reads.append("only")
        return None


class Rooms(Base):
    @cached(tree=True)
    async def get_receipts(self, room: str, kind: str, user: str = "u") -> object:
        self.reads.append((room, kind, user))
        return (room, kind, user)

    @cached(tree=True)
    async def get_slow(self, room: str, kind: str) -> object:
        return await self.gate()

    @cached(max_entries=2)
    async def get_few(self, number: int) -> int:
        self.reads.append(number)
        return number

    @cached(size_of=len)
    async def get_large(self, number: int) -> bytes:
        return bytes(100_000)


class Store(Users, Rooms):
    @cached()
    async def get_few(self, number: int) -> int:
        return -number


class CachedTestCase(TestCase):
    def setUp(self) -> None:
        self.store = Store()

    def get(self, awaitable: Awaitable[object]) -> object:
        return self.successResultOf(start(awaitable))

    def slow(self, key: str = "k") -> Deferred[object]:
        return start(self.store.get_slow(key))


class CallTestCase(CachedTestCase):
    def test_reads_once(self) -> None:
        for _ in range(3):
            self.assertEqual(self.get(self.store.get_user("a", "b")), "a@b/1")
        self.assertEqual(self.store.reads, [("a", "b", 1)])

    def test_ways_to_write_one_call_are_one_key(self) -> None:
        store = self.store
        for call in (
            store.get_user("a"),
            store.get_user("a", "home"),
            store.get_user(name="a"),
            store.get_user(server="home", name="a", version=1),
            store.get_user("a", version=1),
        ):
            self.assertEqual(self.get(call), "a@home/1")
        self.assertEqual(store.reads, [("a", "home", 1)])
        self.assertEqual(self.get(store.get_user("a", version=2)), "a@home/2")

    def test_wrong_calls_fail_like_calls(self) -> None:
        store: object = self.store
        for args, kwargs in (
            ((), {}),
            (("a", "b", 3), {}),
            (("a",), {"name": "b"}),
            (("a",), {"other": 1}),
        ):
            with self.subTest(args=args, kwargs=kwargs), self.assertRaises(TypeError):
                store.get_user(*args, **kwargs)  # type: ignore[attr-defined]  # wrong on purpose
        self.assertEqual(self.store.reads, [])

    def test_chosen_key(self) -> None:
        self.assertEqual(self.get(self.store.get_heads(1, "r")), [1])
        self.assertEqual(self.get(self.store.get_heads(2, room="r")), [1])
        self.assertEqual(self.get(self.store.get_heads(2, "other")), [2])
        self.assertEqual(self.store.get_heads.peek(("other",)), [2])

    def test_none_is_a_value_and_a_key_may_be_empty(self) -> None:
        for _ in range(2):
            self.assertIsNone(self.get(self.store.get_only()))
        self.assertEqual(self.store.reads, ["only"])
        self.store.get_only.invalidate(())
        self.get(self.store.get_only())
        self.assertEqual(len(self.store.reads), 2)

    def test_awaiting_one_answer_twice(self) -> None:
        hit = self.store.get_user("a")
        self.assertEqual([self.get(hit), self.get(hit)], ["a@home/1"] * 2)
        again = self.store.get_user("a")
        self.assertEqual(self.get(gather(again, again)), ("a@home/1", "a@home/1"))

    def test_instances_are_apart(self) -> None:
        other = Store()
        self.get(self.store.get_user("a"))
        self.assertIs(other.get_user.peek(("a", "home", 1)), MISSING)
        self.assertIsNot(other.get_user, self.store.get_user)

    def test_declarations_that_cannot_work(self) -> None:
        async def anything(self: object, *args: str) -> None: ...

        async def one(self: object, a: str) -> None: ...

        with self.assertRaises(TypeError):
            cached()(anything)
        with self.assertRaises(TypeError):
            cached(key=("b",))(one)


class SharingTestCase(CachedTestCase):
    def test_callers_share_a_read_under_way(self) -> None:
        calls = [self.slow() for _ in range(3)]
        self.assertEqual(self.store.reads, ["k"])
        self.store.gates[0].callback("v")
        self.assertEqual([self.successResultOf(call) for call in calls], ["v"] * 3)
        self.assertEqual(self.get(self.slow()), "v")
        self.assertEqual(self.store.reads, ["k"])

    def test_failures_reach_all_and_are_not_kept(self) -> None:
        calls = [self.slow() for _ in range(2)]
        self.store.gates[0].errback(KeyError("x"))
        for call in calls:
            self.failureResultOf(call, KeyError)
        again = self.slow()
        self.store.gates[1].callback("v")
        self.assertEqual(self.successResultOf(again), "v")

    def test_cancelling_a_caller_leaves_the_read(self) -> None:
        gone, staying = self.slow(), self.slow()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.store.gates[0].callback("v")
        self.assertEqual(self.successResultOf(staying), "v")
        self.assertEqual(self.store.get_slow.peek(("k",)), "v")

    def test_a_value_that_cannot_be_weighed_fails_the_call_instead_of_hanging(self) -> None:
        class Broken(Base):
            @cached(size_of=len)
            async def get_x(self) -> object:
                return 5

        self.failureResultOf(start(Broken().get_x()), TypeError)


class InvalidationTestCase(CachedTestCase):
    def test_invalidate_one_key(self) -> None:
        self.get(self.store.get_user("a"))
        self.get(self.store.get_user("b"))
        self.store.get_user.invalidate(("a", "home", 1))
        self.assertIs(self.store.get_user.peek(("a", "home", 1)), MISSING)
        self.assertEqual(self.store.get_user.peek(("b", "home", 1)), "b@home/1")

    def test_invalidate_all(self) -> None:
        self.get(self.store.get_user("a"))
        slow = self.slow()
        self.store.caches.invalidate_all()
        self.store.gates[0].callback("old")
        self.assertEqual(self.successResultOf(slow), "old")
        self.assertEqual(len(self.store.get_user), 0)
        self.assertIs(self.store.get_slow.peek(("k",)), MISSING)
        self.assertEqual(self.store.caches.size_bytes, 0)

    def test_read_begun_before_an_invalidation_is_not_kept(self) -> None:
        early = self.slow()
        self.store.get_slow.invalidate(("k",))
        late = self.slow()
        self.assertEqual(self.store.reads, ["k", "k"], "a later caller must not get the old value")
        self.store.gates[1].callback("new")
        self.store.gates[0].callback("old")
        self.assertEqual(self.successResultOf(early), "old")
        self.assertEqual(self.successResultOf(late), "new")
        self.assertEqual(self.store.get_slow.peek(("k",)), "new")

    def test_stale_failure_leaves_the_newer_read_alone(self) -> None:
        early = self.slow()
        self.store.get_slow.invalidate(("k",))
        late = self.slow()
        self.store.gates[0].errback(KeyError("x"))
        self.failureResultOf(early, KeyError)
        self.slow()
        self.assertEqual(self.store.reads, ["k", "k"])
        self.store.gates[1].callback("new")
        self.assertEqual(self.successResultOf(late), "new")

    def test_other_keys_are_not_made_stale(self) -> None:
        reading = self.slow()
        self.store.get_slow.invalidate(("other",))
        self.store.gates[0].callback("v")
        self.successResultOf(reading)
        self.assertEqual(self.store.get_slow.peek(("k",)), "v")

    def test_prefill(self) -> None:
        reading = self.slow()
        self.store.get_slow.prefill(("k",), "known")
        self.assertEqual(self.get(self.store.get_slow("k")), "known")
        self.store.gates[0].callback("old")
        self.assertEqual(self.successResultOf(reading), "old")
        self.assertEqual(self.store.get_slow.peek(("k",)), "known")

    def test_keys_of_the_wrong_length_are_errors(self) -> None:
        for key in ((), ("a",), ("a", "b", 1, 2)):
            for use in (
                self.store.get_user.invalidate,
                self.store.get_user.peek,
                lambda key: self.store.get_user.prefill(key, "x"),
                lambda key: self.store.get_user.update(key, str),
            ):
                with self.subTest(key=key), self.assertRaises(ValueError):
                    use(key)

    def test_a_string_is_no_key(self) -> None:
        """`invalidate(user_id)` and `invalidate((user_id))` must not drop a wrong key silently."""
        for method in (self.store.get_slow, Rooms().get_receipts):
            with self.assertRaises(TypeError):
                method.invalidate("k")  # type: ignore[arg-type]  # wrong on purpose


class UpdateTestCase(CachedTestCase):
    def test_replaces_what_is_kept(self) -> None:
        self.get(self.store.get_user("a"))
        self.store.get_user.update(("a", "home", 1), lambda old: old + "!")
        self.assertEqual(self.get(self.store.get_user("a")), "a@home/1!")

    def test_does_nothing_where_nothing_is_kept(self) -> None:
        self.store.get_user.update(("a", "home", 1), self.fail)
        self.assertIs(self.store.get_user.peek(("a", "home", 1)), MISSING)

    def test_read_under_way_is_not_kept(self) -> None:
        reading = self.slow()
        self.store.get_slow.update(("k",), self.fail)
        self.store.gates[0].callback("old")
        self.assertEqual(self.successResultOf(reading), "old")
        self.assertIs(self.store.get_slow.peek(("k",)), MISSING)

    def test_failing_update_forgets_the_value(self) -> None:
        self.get(self.store.get_user("a"))

        def broken(old: str) -> str:
            raise KeyError(old)

        with self.assertRaises(KeyError):
            self.store.get_user.update(("a", "home", 1), broken)
        self.assertIs(self.store.get_user.peek(("a", "home", 1)), MISSING)


class TreeTestCase(TestCase):
    def setUp(self) -> None:
        self.store = Rooms()
        self.keys = [(r, k, u) for r in "ab" for k in "xy" for u in "12"]
        for key in self.keys:
            self.successResultOf(start(self.store.get_receipts(*key)))

    def kept(self) -> list[tuple[str, str, str]]:
        return [key for key in self.keys if self.store.get_receipts.peek(key) is not MISSING]

    def test_prefixes(self) -> None:
        self.store.get_receipts.invalidate(("a", "x", "1"))
        self.assertEqual(self.kept(), self.keys[1:])
        self.store.get_receipts.invalidate(("a", "y"))
        self.assertEqual(self.kept(), [self.keys[1], *self.keys[4:]])
        self.store.get_receipts.invalidate(("a",))
        self.assertEqual(self.kept(), self.keys[4:])
        self.store.get_receipts.invalidate(("nothing",))
        self.assertEqual(self.kept(), self.keys[4:])
        self.store.get_receipts.invalidate(())
        self.assertEqual(self.kept(), [])
        self.assertEqual(self.store.caches.size_bytes, 0)

    def test_what_comes_back_is_found_again(self) -> None:
        self.store.get_receipts.invalidate(("a",))
        self.successResultOf(start(self.store.get_receipts("a", "x", "1")))
        self.store.get_receipts.update(("a", "x", "1"), lambda old: old)
        self.store.get_receipts.invalidate(("a",))
        self.assertEqual(self.kept(), self.keys[4:])

    def test_too_long(self) -> None:
        with self.assertRaises(ValueError):
            self.store.get_receipts.invalidate(("a", "b", "c", "d"))

    def test_prefix_makes_reads_under_way_stale(self) -> None:
        inside = start(self.store.get_slow("a", "x"))
        outside = start(self.store.get_slow("b", "x"))
        self.store.get_slow.invalidate(("a",))
        for gate in self.store.gates:
            gate.callback("v")
        self.successResultOf(inside)
        self.successResultOf(outside)
        self.assertIs(self.store.get_slow.peek(("a", "x")), MISSING)
        self.assertEqual(self.store.get_slow.peek(("b", "x")), "v")


class RegistryTestCase(TestCase):
    def test_all_reads_of_a_composed_store_by_name(self) -> None:
        store = Store()
        self.assertEqual(
            store.caches.names(),
            [
                "get_few",
                "get_heads",
                "get_large",
                "get_only",
                "get_receipts",
                "get_slow",
                "get_user",
            ],
        )
        self.assertIs(store.caches.get("get_user"), store.get_user)
        self.assertIsInstance(store.get_user, CachedMethod)
        self.assertIsNone(store.caches.get("gate"))

    def test_overriding_read_stands_in_for_the_first(self) -> None:
        store = Store()
        self.assertEqual(self.successResultOf(start(store.get_few(1))), -1)
        self.assertEqual(store.reads, [])

    def test_declarations_are_seen_on_the_class(self) -> None:
        self.assertEqual(Store.get_user.key_names, ("name", "server", "version"))
        self.assertEqual(Store.get_heads.key_names, ("room",))
        self.assertTrue(Rooms.get_receipts.tree)
        self.assertEqual(Store.get_user.__doc__, "The user.")

    def test_entries_are_bounded_and_multiplied_by_the_factor(self) -> None:
        for factor, bound in ((1.0, 2), (2.5, 5), (0.01, 1)):
            store = Rooms(factor=factor)
            for number in range(10):
                self.successResultOf(start(store.get_few(number)))
            self.assertEqual(len(store.get_few), bound)

    def test_bytes_of_all_caches_are_bounded(self) -> None:
        store = Rooms(total_bytes=1_000_000)
        self.successResultOf(start(store.get_few(1)))
        for number in range(100):
            self.successResultOf(start(store.get_large(number)))
        self.assertLessEqual(store.caches.size_bytes, 1_000_000)
        self.assertGreater(len(store.get_large), 5)
        self.assertEqual(len(store.get_few), 0, "the cache that nobody asks gives way")


class Lists(Base):
    @cached()
    async def get_event(self, event_id: str) -> str | None:
        self.reads.append(event_id)
        return f"event {event_id}"

    @cached_list(cached_method_name="get_event", list_name="event_ids")
    async def get_events(self, event_ids: list[str]) -> dict[str, str]:
        self.reads.append(list(event_ids))
        return {event_id: f"event {event_id}" for event_id in event_ids if event_id != "none"}

    @cached()
    async def get_member(self, room: str, user: str) -> object:
        return self.fail_if_called()

    def fail_if_called(self) -> None:
        raise AssertionError("the list form must be used")

    @cached_list(cached_method_name="get_member", list_name="users")
    async def get_members(self, users: list[str], room: str) -> dict[str, object]:
        self.reads.append((room, users))
        await self.gate()
        return {user: f"{user} in {room}" for user in users}

    @cached_list(cached_method_name="get_member", list_name="users")
    async def get_misfits(self, users: list[str]) -> dict[str, object]:
        return {}


class CachedListTestCase(TestCase):
    def setUp(self) -> None:
        self.store = Lists()

    def test_reads_only_what_is_missing_once(self) -> None:
        self.successResultOf(start(self.store.get_event("a")))
        found = self.successResultOf(start(self.store.get_events(["a", "b", "c", "b"])))
        self.assertEqual(found, {"a": "event a", "b": "event b", "c": "event c"})
        self.assertEqual(self.store.reads, ["a", ["b", "c"]])
        self.successResultOf(start(self.store.get_event("b")))
        self.successResultOf(start(self.store.get_events(["a", "c"])))
        self.assertEqual(len(self.store.reads), 2)

    def test_what_does_not_exist_is_known_not_to(self) -> None:
        for _ in range(2):
            self.assertEqual(self.successResultOf(start(self.store.get_events(["none"]))), {})
        self.assertIsNone(self.successResultOf(start(self.store.get_event("none"))))
        self.assertEqual(self.store.reads, [["none"]])

    def test_nothing_asked(self) -> None:
        self.assertEqual(self.successResultOf(start(self.store.get_events([]))), {})
        self.assertEqual(self.store.reads, [])

    def test_other_arguments_belong_to_the_key(self) -> None:
        reading = start(self.store.get_members(["u1", "u2"], room="r"))
        single = start(self.store.get_member("r", "u1"))
        overlapping = start(self.store.get_members(["u2", "u3"], "r"))
        self.assertEqual(self.store.reads, [("r", ["u1", "u2"]), ("r", ["u3"])])
        self.store.gates[0].callback(None)
        self.assertEqual(self.successResultOf(single), "u1 in r")
        self.assertEqual(self.successResultOf(reading), {"u1": "u1 in r", "u2": "u2 in r"})
        self.store.gates[1].callback(None)
        self.assertEqual(self.successResultOf(overlapping), {"u2": "u2 in r", "u3": "u3 in r"})
        self.assertIs(self.store.get_member.peek(("u1", "r")), MISSING)

    def test_invalidated_while_reading(self) -> None:
        reading = start(self.store.get_members(["u1", "u2"], "r"))
        self.store.get_member.invalidate(("r", "u1"))
        self.store.gates[0].callback(None)
        self.assertEqual(self.successResultOf(reading), {"u1": "u1 in r", "u2": "u2 in r"})
        self.assertIs(self.store.get_member.peek(("r", "u1")), MISSING)
        self.assertEqual(self.store.get_member.peek(("r", "u2")), "u2 in r")

    def test_failure_reaches_all_and_is_not_kept(self) -> None:
        reading = start(self.store.get_members(["u1", "u2"], "r"))
        single = start(self.store.get_member("r", "u2"))
        self.store.gates[0].errback(KeyError("x"))
        self.failureResultOf(reading, KeyError)
        self.failureResultOf(single, KeyError)
        again = start(self.store.get_members(["u1"], "r"))
        self.store.gates[1].callback(None)
        self.assertEqual(self.successResultOf(again), {"u1": "u1 in r"})

    def test_list_form_that_does_not_fit(self) -> None:
        self.failureResultOf(start(self.store.get_misfits(["u"])), TypeError)

        async def get_things(self: object, ids: list[str]) -> dict[str, str]:
            return {}

        with self.assertRaises(TypeError):
            cached_list(cached_method_name="get_event", list_name="other")(get_things)
