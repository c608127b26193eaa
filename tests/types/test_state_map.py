"""A StateMap behaves as a dict would, and shares its bulk."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synapse_lite.types.state_map import EMPTY_STATE, StateKey, StateMap, size_of

_KEYS = st.tuples(st.sampled_from(["m.room.member", "m.room.name", "x"]), st.sampled_from("abcdef"))
_STATES = st.dictionaries(_KEYS, st.sampled_from(["$1", "$2", "$3"]))
_DELTAS = st.dictionaries(_KEYS, st.sampled_from(["$1", "$2", "$3", None]))


def changed(state: dict[StateKey, str], delta: dict[StateKey, str | None]) -> dict[StateKey, str]:
    """What with_changes must give, on dicts."""
    merged = {**state, **delta}
    return {key: event_id for key, event_id in merged.items() if event_id is not None}


def members(count: int) -> StateMap:
    """The state of a room with this many members."""
    return StateMap({("m.room.member", f"@u{n}:x"): f"$join{n}" for n in range(count)})


class StateMapTests(TestCase):
    @settings(deadline=None)
    @given(_STATES, st.lists(_DELTAS, max_size=30))
    def test_equals_a_dict_after_any_changes(
        self, start: dict[StateKey, str], deltas: list[dict[StateKey, str | None]]
    ) -> None:
        state, model = StateMap(start), start
        for delta in deltas:
            before = dict(state.items())
            after = state.with_changes(delta)
            self.assertEqual(dict(state.items()), before, "the old map has changed")
            state, model = after, changed(model, delta)
            self.assertEqual(state, model)
            self.assertEqual(StateMap(model), state)
            self.assertEqual(dict(state), model)
            self.assertEqual(len(state), len(model))
            self.assertEqual(set(state.keys()), set(model))
            self.assertEqual(sorted(state.values()), sorted(model.values()))
            for event_type in ("m.room.member", "m.room.name", "y"):
                self.assertEqual(
                    dict(state.of_type(event_type)),
                    {key[1]: value for key, value in model.items() if key[0] == event_type},
                )
            for key in (*model, ("x", "nothing"), ("nothing", "")):
                self.assertEqual(state.get(key), model.get(key))
                self.assertEqual(key in state, key in model)

    @settings(deadline=None)
    @given(_STATES, _STATES, st.lists(_DELTAS, max_size=5), st.booleans())
    def test_changes_since_leads_from_one_to_the_other(
        self,
        first: dict[StateKey, str],
        second: dict[StateKey, str],
        deltas: list[dict[StateKey, str | None]],
        related: bool,
    ) -> None:
        old = StateMap(first)
        new = old if related else StateMap(second)
        for delta in deltas:
            new = new.with_changes(delta)
        difference = new.changes_since(old)
        self.assertEqual(old.with_changes(difference), new)
        for key, event_id in difference.items():
            self.assertNotEqual(old.get(key), event_id, "an entry that has not changed")

    @settings(deadline=None)
    @given(_STATES, st.lists(_KEYS))
    def test_filtered(self, model: dict[StateKey, str], keys: list[StateKey]) -> None:
        found = StateMap(model).filtered(keys)
        self.assertEqual(found, {key: model[key] for key in keys if key in model})

    def test_missing_key(self) -> None:
        state = StateMap({("a", ""): "$a"}).with_changes({("a", ""): None})
        self.assertRaises(KeyError, lambda: state[("a", "")])
        self.assertRaises(KeyError, lambda: state[("b", "")])
        self.assertEqual(state.get(("a", ""), "$default"), "$default")
        self.assertNotIn("a", state)
        self.assertEqual(state, EMPTY_STATE)

    def test_is_not_equal_to_a_larger_or_other_mapping(self) -> None:
        state = StateMap({("a", ""): "$a"})
        self.assertNotEqual(state, {("a", ""): "$a", ("b", ""): "$b"})
        self.assertNotEqual(state, {("a", ""): "$b"})
        self.assertNotEqual(state, {("b", ""): "$a"})
        self.assertNotEqual(state, "a")

    def test_nothing_changed_is_the_same_map(self) -> None:
        state = members(3)
        self.assertIs(state.with_changes({}), state)
        same: dict[StateKey, str | None] = {("m.room.member", "@u1:x"): "$join1", ("x", ""): None}
        self.assertIs(state.with_changes(same), state)

    def test_thousands_of_states_of_a_large_room_share_their_bulk(self) -> None:
        state = members(10_000)
        whole = size_of(state)
        self.assertGreater(whole, 10_000 * 100)
        kept = []
        for n in range(2_000):
            state = state.with_changes({("m.room.member", f"@u{n}:x"): f"$leave{n}"})
            kept.append(state)
        bases = {id(state._base) for state in kept}
        # A base lasts for as many changes as the square root of its size.
        self.assertLessEqual(len(bases), 2_000 // 100 + 1)
        self.assertLess(max(len(state._overlay) for state in kept), 101)
        self.assertLess(sum(map(size_of, kept)), 200 * whole)

    def test_a_new_base_shares_the_types_that_did_not_change(self) -> None:
        state = members(1_000)
        changed_state = state
        for n in range(100):
            changed_state = changed_state.with_changes({("x", str(n)): f"$x{n}"})
        self.assertIsNot(changed_state._base, state._base)
        self.assertIs(changed_state.of_type("m.room.member"), state.of_type("m.room.member"))
