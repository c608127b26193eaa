"""Checks of what is stored, against itself and against what was acknowledged."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator

from .evidence import Evidence


def files_are_sound(evidence: Evidence) -> Iterator[str]:
    """The database finds nothing wrong with itself."""
    damage = evidence.rows.damage()
    if damage:
        yield f"The database is damaged: {damage}"


def acknowledged_is_stored_once(evidence: Evidence) -> Iterator[str]:
    """Each acknowledged message is a row, each transaction id has made one, and there are no
    messages that nobody sent."""
    acknowledged = Counter(sent.event_id for sent in evidence.board.sent)
    for event_id, times in acknowledged.items():
        if times > 1:
            yield f"{event_id} was acknowledged for {times} messages"
    stored = {
        event_id: (sender, txn_id)
        for event_id, sender, txn_id in evidence.rows.query(
            "SELECT event_id, sender, txn_id FROM events WHERE type = ?", "m.room.message"
        )
    }
    for sent in evidence.board.sent:
        if stored.get(sent.event_id) != (sent.user_id, sent.txn_id):
            yield f"{sent.event_id} is stored as {stored.get(sent.event_id)}"
    surplus = set(stored) - set(acknowledged)
    if surplus:
        yield f"{len(surplus)} messages are stored that were acknowledged to nobody"
    by_txn = evidence.rows.query("SELECT user_id, txn_id, event_id FROM event_txn_ids")
    ids = {(user_id, txn_id): event_id for user_id, txn_id, event_id in by_txn}
    for sent in evidence.board.sent:
        if ids.get((sent.user_id, sent.txn_id)) != sent.event_id:
            yield f"The transaction id of {sent.event_id} is not stored"


def current_state_is_its_history(evidence: Evidence) -> Iterator[str]:
    """Replayed, the changes of the current state give the current state."""
    replayed: dict[tuple[str, str, str], str] = {}
    for *key, event_id in evidence.rows.query(
        "SELECT room_id, type, state_key, event_id FROM current_state_delta_stream"
        " ORDER BY stream_id"
    ):
        if event_id is None:
            replayed.pop((key[0], key[1], key[2]), None)
        else:
            replayed[key[0], key[1], key[2]] = event_id
    current = {
        (room_id, kind, state_key): event_id
        for room_id, kind, state_key, event_id in evidence.rows.query(
            "SELECT room_id, type, state_key, event_id FROM current_state_events"
        )
    }
    if current != replayed:
        wrong = {key for key in {*current, *replayed} if current.get(key) != replayed.get(key)}
        yield f"The current state differs from its changes at {sorted(wrong)[:5]}"


def local_memberships_fit(evidence: Evidence) -> Iterator[str]:
    """The memberships of our users are those of the current state."""
    stored = set(
        evidence.rows.query("SELECT user_id, room_id, membership FROM local_current_membership")
    )
    current = set(
        evidence.rows.query(
            "SELECT state_key, room_id, membership FROM current_state_events WHERE type = ?",
            "m.room.member",
        )
    )
    if stored != current:
        yield f"Memberships of our users differ from the current state: {stored ^ current}"


def heads_are_what_nobody_follows(evidence: Evidence) -> Iterator[str]:
    """The forward extremities of a room are its events that no other event names."""
    for room_id in evidence.rooms:
        events, named = set(), set()
        for event_id, text in evidence.rows.query(
            "SELECT event_id, json FROM events WHERE room_id = ? AND in_timeline", room_id
        ):
            events.add(event_id)
            named.update(json.loads(text)["prev_events"])
        if named - events:
            yield f"Events of {room_id} name {len(named - events)} that are not there"
        stored = {
            event_id
            for (event_id,) in evidence.rows.query(
                "SELECT event_id FROM event_forward_extremities WHERE room_id = ?", room_id
            )
        }
        if stored != events - named or not stored:
            yield f"The heads of {room_id} are {sorted(stored)}, not {sorted(events - named)}"


DATABASE_CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    files_are_sound,
    acknowledged_is_stored_once,
    current_state_is_its_history,
    local_memberships_fit,
    heads_are_what_nobody_follows,
)
