"""State resolution: scenarios with a known outcome, and laws that hold for random rooms."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.api.errors import ForbiddenError
from synapse_lite.events.auth import check_state_dependent_auth
from synapse_lite.events.event import Event, StateKey, make_event
from synapse_lite.events.resolution import resolve_state
from synapse_lite.events.room_versions import ROOM_VERSIONS, RoomVersion

from ..support import ALICE, ALL_VERSIONS, BOB, CAROL, DAVE, MemoryLoader, Room, versions_from

# One for each algorithm, and one for each way of writing references in it.
VERSIONS = tuple(ROOM_VERSIONS[identifier] for identifier in ("1", "2", "3", "11", "12"))
USERS = (ALICE, BOB, CAROL, DAVE)

State = dict[StateKey, Event]
StateIds = dict[StateKey, str]


def ids(state: State) -> StateIds:
    return {key: event.event_id for key, event in state.items()}


class ResolutionTestCase(SynchronousTestCase):
    def resolve(self, version: RoomVersion, states: Sequence[StateIds], loader) -> StateIds:
        return self.successResultOf(Deferred.fromCoroutine(resolve_state(version, states, loader)))

    def resolved(self, room: Room, *states: State) -> State:
        loader = MemoryLoader(room.events)
        result = self.resolve(room.version, [ids(state) for state in states], loader)
        backwards = [ids(state) for state in reversed(states)]
        self.assertEqual(self.resolve(room.version, backwards, loader), result)
        return {key: room.events[event_id] for key, event_id in result.items()}


def started(version: RoomVersion) -> Room:
    """A room of Alice and Bob, who has 50, and Carol."""
    room = Room(version)
    room.set_join_rule("public")
    room.set_levels(users={BOB: 50}, events={"m.room.power_levels": 50})
    for user_id in (BOB, CAROL):
        room.join(user_id)
    return room


class Fork:
    """A branch of a room: what is sent within it goes to its own state."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.outer = room.state
        self.state = dict(room.state)

    def __enter__(self) -> State:
        self.room.state = self.state
        return self.state

    def __exit__(self, *exc_info: object) -> None:
        self.room.state = self.outer


class ShortcutTests(ResolutionTestCase):
    def test_agreement_loads_nothing(self) -> None:
        for version in ALL_VERSIONS:
            room = started(version)
            loader = MemoryLoader(room.events)
            state = ids(room.state)
            self.assertEqual(self.resolve(version, [], loader), {})
            for count in (1, 2, 3):
                answer = self.resolve(version, [dict(state)] * count, loader)
                self.assertEqual(answer, state)
                self.assertIsNot(answer, state)
            self.assertEqual(loader.calls, 0)


class ScenarioTests(ResolutionTestCase):
    def test_ban_wins_over_what_the_banned_do_meanwhile(self) -> None:
        for version in versions_from("2"):
            room = started(version)
            old = room.send(ALICE, "m.room.topic", {"topic": "old"}, "")
            with Fork(room) as first:
                ban = room.set_member(ALICE, BOB, "ban")
            with Fork(room) as second:
                room.send(BOB, "m.room.topic", {"topic": "of the banned"}, "")
            state = self.resolved(room, first, second)
            self.assertEqual(state[("m.room.member", BOB)], ban, version.identifier)
            self.assertEqual(state[("m.room.topic", "")], old)

    def test_demotion_wins_over_the_demoted(self) -> None:
        for version in versions_from("2"):
            room = started(version)
            with Fork(room) as first:
                demotion = room.set_levels(users={BOB: 0})
            with Fork(room) as second:
                users = {**room.state[("m.room.power_levels", "")].content["users"], CAROL: 50}
                levels = {"users": users, "events": {"m.room.power_levels": 50}}
                room.send(BOB, "m.room.power_levels", levels, "", timestamp=1)
                room.send(CAROL, "m.room.name", {"name": "x"}, "")
            state = self.resolved(room, first, second)
            self.assertEqual(state[("m.room.power_levels", "")], demotion)
            self.assertNotIn(("m.room.name", ""), state)

    def test_later_of_equals_wins(self) -> None:
        for version in versions_from("2"):
            room = started(version)
            with Fork(room) as first:
                later = room.send(ALICE, "m.room.topic", {"topic": "a"}, "", timestamp=9_000_000)
            with Fork(room) as second:
                room.send(BOB, "m.room.topic", {"topic": "b"}, "", timestamp=8_000_000)
            self.assertEqual(self.resolved(room, first, second)[("m.room.topic", "")], later)

    def test_newer_power_levels_win_over_time(self) -> None:
        """The mainline decides before the clock, which a server can set as it likes."""
        for version in versions_from("2"):
            room = started(version)
            with Fork(room) as first:
                room.send(BOB, "m.room.topic", {"topic": "old"}, "", timestamp=9_000_000)
            with Fork(room) as second:
                room.set_levels(users={BOB: 50, CAROL: 1}, events={"m.room.power_levels": 50})
                newer = room.send(BOB, "m.room.topic", {"topic": "new"}, "", timestamp=5)
            self.assertEqual(self.resolved(room, first, second)[("m.room.topic", "")], newer)

    def test_state_of_one_branch_alone_is_kept(self) -> None:
        for version in ALL_VERSIONS:
            room = started(version)
            with Fork(room) as first:
                joined = room.join(DAVE)
            with Fork(room) as second:
                named = room.send(ALICE, "m.room.name", {"name": "x"}, "")
            state = self.resolved(room, first, second)
            self.assertEqual(state[("m.room.member", DAVE)], joined)
            self.assertEqual(state[("m.room.name", "")], named)
            self.assertEqual(len(state), len(room.state) + 2)

    def test_kick_and_closed_door_beat_a_concurrent_join(self) -> None:
        for version in versions_from("2"):
            room = started(version)
            with Fork(room) as first:
                closed = room.set_join_rule("invite")
            with Fork(room) as second:
                room.join(DAVE)
            state = self.resolved(room, first, second)
            self.assertEqual(state[("m.room.join_rules", "")], closed)
            self.assertNotIn(("m.room.member", DAVE), state)

    def test_rejected_auth_events_authorise_nothing(self) -> None:
        for version in versions_from("2"):
            for reason in (None, "for the test"):
                room = started(version)
                room.set_levels(events={"m.x": 0})
                room.set_join_rule("invite")
                with Fork(room) as first:
                    room.send(ALICE, "m.room.name", {"name": "x"}, "")
                with Fork(room) as second:
                    room.join(DAVE).metadata.rejected_reason = reason
                    room.send(DAVE, "m.x", {}, DAVE)
                    del room.state[("m.room.member", DAVE)]
                state = self.resolved(room, first, second)
                self.assertEqual(("m.x", DAVE) in state, reason is None)


class AuthDifferenceTests(ResolutionTestCase):
    def test_events_of_all_states_are_no_difference(self) -> None:
        room = started(ROOM_VERSIONS["11"])
        newest = room.set_levels(users={BOB: 50, CAROL: 50})
        with Fork(room) as first:
            room.send(CAROL, "m.room.name", {"name": "x"}, "")
            banned = room.set_member(ALICE, DAVE, "ban")
            room.set_member(ALICE, DAVE, "leave")
        sets = [set(ids(first).values()), set(ids(room.state).values())]
        loader = MemoryLoader(room.events)
        difference = self.successResultOf(Deferred.fromCoroutine(loader.auth_difference(sets)))
        self.assertNotIn(newest.event_id, difference)
        self.assertIn(banned.event_id, difference)


class Version1Tests(ResolutionTestCase):
    version = ROOM_VERSIONS["1"]

    def test_power_levels_follow_one_another(self) -> None:
        room = started(self.version)
        with Fork(room) as first:
            room.set_levels(users={BOB: 0})
        with Fork(room) as second:
            users = {ALICE: 100, BOB: 50, CAROL: 50}
            room.send(BOB, "m.room.power_levels", {"users": users}, "")
        state = self.resolved(room, first, second)
        self.assertEqual(state[("m.room.power_levels", "")], first[("m.room.power_levels", "")])

    def test_deepest_allowed_event_wins(self) -> None:
        room = started(self.version)
        with Fork(room) as first:
            allowed = room.send(ALICE, "m.room.topic", {"topic": "a"}, "")
        with Fork(room) as second:
            room.send(CAROL, "m.room.topic", {"topic": "c"}, "")
        self.assertEqual(self.resolved(room, first, second)[("m.room.topic", "")], allowed)
        with Fork(room) as third:
            deeper = room.send(BOB, "m.room.topic", {"topic": "b"}, "")
        self.assertEqual(self.resolved(room, first, second, third)[("m.room.topic", "")], deeper)


class Version21Tests(ResolutionTestCase):
    def test_conflicted_subgraph(self) -> None:
        room = started(ROOM_VERSIONS["12"])
        loader = MemoryLoader(room.events)
        levels = room.state[("m.room.power_levels", "")]
        joined = room.state[("m.room.member", BOB)]
        newer = room.set_levels(users={BOB: 51})
        named = room.send(BOB, "m.room.name", {"name": "x"}, "")
        first_join = room.state[("m.room.member", ALICE)]

        def subgraph(*events: Event) -> set[str]:
            conflicted = {event.event_id for event in events}
            return self.successResultOf(
                Deferred.fromCoroutine(loader.conflicted_subgraph(conflicted))
            )

        self.assertEqual(subgraph(named), {named.event_id})
        self.assertEqual(
            subgraph(named, levels),
            {named.event_id, newer.event_id, joined.event_id, levels.event_id},
        )
        self.assertNotIn(first_join.event_id, subgraph(named, levels))
        self.assertEqual(subgraph(joined, newer), {joined.event_id, newer.event_id})

    def test_agreed_state_does_not_undo_what_came_before_it(self) -> None:
        """Dave joined while the room was open; one branch has lost him after it was closed.

        Version 2 asks the agreed join rule, which did not hold then; version 2.1 does not.
        """
        for identifier, stays in (("2", False), ("11", False), ("12", True)):
            room = started(ROOM_VERSIONS[identifier])
            with Fork(room) as first:
                room.join(DAVE)
            closed = room.set_join_rule("invite")
            first[closed.state_tuple] = closed
            state = self.resolved(room, first, room.state)
            self.assertEqual(("m.room.member", DAVE) in state, stays)
            self.assertEqual(state[closed.state_tuple], closed)


def _power_levels(data, room: Room, sender: str) -> Event:
    users = dict(room.state[("m.room.power_levels", "")].content["users"])
    target = data.draw(st.sampled_from(USERS[1:]))
    users[target] = data.draw(st.sampled_from((0, 49, 50, 51, 100)))
    content = {"users": users, "events": {"m.room.power_levels": 50}}
    return room.make(sender, "m.room.power_levels", content, "", timestamp=_time(data))


def _member(data, room: Room, sender: str) -> Event:
    membership = data.draw(st.sampled_from(("join", "leave", "ban", "invite")))
    target = sender if membership == "join" else data.draw(st.sampled_from(USERS))
    content = {"membership": membership}
    return room.make(sender, "m.room.member", content, target, timestamp=_time(data))


def _join_rules(data, room: Room, sender: str) -> Event:
    content = {"join_rule": data.draw(st.sampled_from(("public", "invite")))}
    return room.make(sender, "m.room.join_rules", content, "", timestamp=_time(data))


def _other(data, room: Room, sender: str) -> Event:
    event_type = data.draw(st.sampled_from(("m.room.name", "m.room.topic")))
    return room.make(sender, event_type, {"x": sender}, "", timestamp=_time(data))


def _time(data) -> int:
    return data.draw(st.integers(0, 5))


def random_branch(data, room: Room) -> State:
    """A branch of up to six events, each allowed by the state before it."""
    with Fork(room) as state:
        for _ in range(data.draw(st.integers(0, 6))):
            make = data.draw(st.sampled_from((_power_levels, _member, _join_rules, _other)))
            event = make(data, room, data.draw(st.sampled_from(USERS)))
            try:
                check_state_dependent_auth(event, state)
            except ForbiddenError:
                continue
            room.events[event.event_id] = event
            state[event.state_tuple] = event
    return state


class LawTests(ResolutionTestCase):
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.data())
    def test_laws(self, data) -> None:
        version = data.draw(st.sampled_from(VERSIONS))
        room = started(version)
        states = [ids(random_branch(data, room)) for _ in range(data.draw(st.integers(2, 3)))]
        loader = MemoryLoader(room.events)
        result = self.resolve(version, states, loader)
        self.check_order_independence(version, states, loader, result)
        self.check_agreement_between_servers(version, states, room, result)
        self.check_contents(states, room, result)
        self.assertEqual(self.resolve(version, [result, result], loader), result)

    def check_order_independence(self, version, states, loader, result) -> None:
        for permuted in itertools.permutations(states):
            shuffled = [dict(sorted(state.items(), reverse=True)) for state in permuted]
            self.assertEqual(self.resolve(version, shuffled, loader), result)
        self.assertEqual(self.resolve(version, [*states, *states], loader), result)

    def check_agreement_between_servers(self, version, states, room, result) -> None:
        """Another server knows the events by their JSON, in another order."""
        received = [
            make_event(json.loads(event.pdu_json), version)
            for event in sorted(room.events.values(), key=lambda event: event.event_id)
        ]
        loader = MemoryLoader({event.event_id: event for event in received})
        self.assertEqual(self.resolve(version, states, loader), result)

    def check_contents(self, states, room, result) -> None:
        for key, event_id in result.items():
            self.assertEqual(room.events[event_id].state_tuple, key)
        for key in set(states[0]).intersection(*states[1:]):
            if len({state[key] for state in states}) == 1:
                self.assertEqual(result[key], states[0][key])
