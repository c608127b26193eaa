"""What must be true after a round. Each check yields a line for each thing that is not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

from ..deployment import MASTER, NGINX
from .database_checks import DATABASE_CHECKS
from .evidence import Evidence
from .fleet import CLIENT_READERS, SYNCHROTRONS, USER_DIRS, WORKERS
from .load import COUNTER_TYPE, TAG, SyncingClient, receipts_of

Check = Callable[[Evidence], Iterator[str]]

_RETRIED_TRANSACTIONS = 8
_SHOWN = 5

# Which level a line of a log has, in the form that the configuration gives it.
_BAD_LINE = re.compile(r" - (ERROR|CRITICAL) - |^Traceback ")


def differences(what: str, found: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """How two lists differ in what they hold and how often; in their order if only in that."""
    if list(found) == list(expected):
        return
    missing = Counter(expected) - Counter(found)
    surplus = Counter(found) - Counter(expected)
    if missing:
        yield f"{what}: {missing.total()} missing: {list(missing)[:_SHOWN]}"
    if surplus:
        yield f"{what}: {surplus.total()} too many: {list(surplus)[:_SHOWN]}"
    if not missing and not surplus:
        at = next(n for n, pair in enumerate(zip(found, expected, strict=True)) if len({*pair}) > 1)
        yield f"{what}: not in order from number {at} of {len(expected)} on"


def messages_are_there_once(evidence: Evidence) -> Iterator[str]:
    """Every member finds each acknowledged message exactly once, wherever it asks."""
    doors = [NGINX, MASTER, *CLIENT_READERS]
    for number, room_id in enumerate(evidence.rooms):
        expected = sorted(s.event_id for s in evidence.board.sent if s.room_id == room_id)
        for place, (name, user) in enumerate(evidence.users.items()):
            door = doors[(number + place) % len(doors)]
            found = user.through(evidence.doors[door]).messages(room_id)
            yield from differences(
                f"/messages of {name} at {door}", sorted(e["event_id"] for e in found), expected
            )


def bodies_are_what_was_sent(evidence: Evidence) -> Iterator[str]:
    """An acknowledged id is that of what its sender said."""
    (name, user), *_ = evidence.users.items()
    for room_id in evidence.rooms:
        found = {e["event_id"]: e for e in user.messages(room_id)}
        for sent in evidence.board.sent:
            event = found.get(sent.event_id)
            if sent.room_id != room_id or event is None:
                continue
            if (event["sender"], event["content"]["body"]) != (sent.user_id, sent.body):
                yield f"{name} reads something else in {sent.event_id} than was sent"


def syncing_clients_have_each_event_once(evidence: Evidence) -> Iterator[str]:
    """Each event came once to each client that syncs, in the order of stream positions."""
    for room_id in evidence.rooms:
        expected = [e for e, _, _ in evidence.timeline(room_id) if e not in evidence.before]
        for client in evidence.syncing:
            found = client.timelines.get(room_id, [])
            yield from differences(f"/sync of {client.name} in {room_id}", found, expected)
    for client in evidence.syncing:
        for gap in client.gaps:
            yield f"/sync of {client.name} had a gap in {gap}"


def senders_are_in_order(evidence: Evidence) -> Iterator[str]:
    """What one client sent after the other arrived so."""
    positions = evidence.positions()
    for sender in evidence.senders:
        for room_id in evidence.rooms:
            own = [positions.get(s.event_id, 0) for s in sender.sent if s.room_id == room_id]
            if own != sorted(own):
                yield f"Messages of {sender.name} are not in the order of sending"


def transactions_are_known_everywhere(evidence: Evidence) -> Iterator[str]:
    """A transaction id that is used again gives the same event at every process."""
    failed = {e.path.rpartition("/")[2] for e in evidence.record.exchanges if not e.is_good}
    for door in (NGINX, MASTER, *WORKERS):
        for sender in evidence.senders:
            # Those that were repeated during the round are the ones that could be wrong.
            repeated = [sent for sent in sender.sent if sent.txn_id in failed]
            chosen = [*repeated[:1], sender.sent[0], sender.sent[-1]][:_RETRIED_TRANSACTIONS]
            user = evidence.users[sender.name].through(evidence.doors[door])
            for sent in chosen:
                event_id = user.send(sent.room_id, sent.body, sent.txn_id)
                if event_id != sent.event_id:
                    yield f"{sent.txn_id} of {sender.name} is {event_id} at {door} now"


def receipts_are_the_last(evidence: Evidence) -> Iterator[str]:
    """The furthest acknowledged receipt of each kind is what /sync and the database hold."""
    positions = evidence.positions()
    for reader in evidence.readers:
        user_id = reader.caller.user_id
        stored = {
            (room_id, kind, thread_id): event_id
            for room_id, kind, thread_id, event_id in evidence.rows.query(
                "SELECT room_id, receipt_type, thread_id, event_id FROM receipts WHERE user_id = ?",
                user_id,
            )
        }
        expected = {
            key: max(event_ids, key=lambda event_id: positions[event_id])
            for key, event_ids in reader.acknowledged.items()
        }
        if stored != expected:
            yield f"The receipts of {reader.name} are stored as {stored}, not {expected}"
        client = _client_of(evidence, reader.name)
        for where, found in _receipts_by_sync(evidence, client):
            for (room_id, kind, thread_id), event_id in expected.items():
                seen = found.get((room_id, kind, user_id, thread_id))
                if seen != event_id:
                    yield f"{where}: {kind} in thread {thread_id!r} is {seen}, not {event_id}"


def _receipts_by_sync(
    evidence: Evidence, client: SyncingClient
) -> Iterator[tuple[str, dict[tuple[str, str, str, str], str]]]:
    """What the client has gathered, and what an initial sync says at each process."""
    yield f"what {client.name} has synced", client.receipts
    for door in (MASTER, *SYNCHROTRONS):
        answer = evidence.users[client.name].through(evidence.doors[door]).sync()
        found = {}
        for room_id, room in answer["rooms"]["join"].items():
            for event in room.get("ephemeral", {}).get("events", ()):
                if event["type"] == "m.receipt":
                    found.update(receipts_of(room_id, event["content"]))
        yield f"an initial /sync of {client.name} at {door}", found


def account_data_is_the_last(evidence: Evidence) -> Iterator[str]:
    """The last acknowledged value is what is read, synced and stored, everywhere."""
    for writer in evidence.writers:
        user = evidence.users[writer.name]
        client = _client_of(evidence, writer.name)
        expected, room_id = writer.written, writer.room_id
        synced = {
            "global": client.account_data.get(COUNTER_TYPE, {}).get("n"),
            "room": client.room_account_data.get((room_id, COUNTER_TYPE), {}).get("n"),
            "tag": _count(client.room_account_data.get((room_id, "m.tag"), {})),
        }
        yield from _compare_written(f"what {client.name} has synced", synced, expected)
        for door in (MASTER, *SYNCHROTRONS):
            answer = user.through(evidence.doors[door]).sync()
            room = {
                event["type"]: event["content"]
                for event in answer["rooms"]["join"][room_id]["account_data"]["events"]
            }
            own = {e["type"]: e["content"] for e in answer["account_data"]["events"]}
            fresh = {
                "global": own.get(COUNTER_TYPE, {}).get("n"),
                "room": room.get(COUNTER_TYPE, {}).get("n"),
                "tag": _count(room.get("m.tag", {})),
            }
            yield from _compare_written(f"an initial /sync at {door}", fresh, expected)
        path = f"/user/{quote(user.user_id)}/account_data/{COUNTER_TYPE}"
        for door in (NGINX, MASTER, *CLIENT_READERS):
            read = user.through(evidence.doors[door]).call("GET", path)["n"]
            yield from _compare_written(
                f"a read at {door}", {"global": read}, expected, ("global",)
            )


def _count(tags: dict[str, dict[str, dict[str, float]]]) -> int | None:
    order = tags.get("tags", {}).get(TAG, {}).get("order")
    return None if order is None else round(order * 1e6)


def _compare_written(
    where: str,
    found: dict[str, int | None],
    expected: dict[str, int],
    places: Sequence[str] = ("global", "room", "tag"),
) -> Iterator[str]:
    for place in places:
        if found.get(place) != expected.get(place):
            yield f"{where}: {place} is {found.get(place)}, {expected.get(place)} was acknowledged"


def memberships_are_the_last(evidence: Evidence) -> Iterator[str]:
    """Who was told that it has joined is in the room, and the reverse, at every process."""
    for wanderer in evidence.wanderers:
        user_id = wanderer.caller.user_id
        (_, member), *_ = evidence.users.items()
        for door in (MASTER, *CLIENT_READERS):
            path = f"/rooms/{quote(wanderer.room_id)}/joined_members"
            joined = member.through(evidence.doors[door]).call("GET", path)["joined"]
            if (user_id in joined) != wanderer.is_in:
                yield f"{user_id} is{'' if user_id in joined else ' not'} in the room at {door}"


def processes_answer_the_same(evidence: Evidence) -> Iterator[str]:
    """Master and workers say the same of states, members, and everything that a client syncs."""
    (_, user), *_ = evidence.users.items()
    for room_id in evidence.rooms:
        for path in (f"/rooms/{quote(room_id)}/state", f"/rooms/{quote(room_id)}/members"):
            answers = {}
            for door in (MASTER, *CLIENT_READERS):
                status, body = evidence.doors[door].exchange(
                    "GET",
                    f"/_matrix/client/v3{path}",
                    headers={"Authorization": f"Bearer {user.token}"},
                )
                found = json.loads(body)
                events = found if isinstance(found, list) else found["chunk"]
                answers[door] = (status, sorted(event["event_id"] for event in events))
            for door in CLIENT_READERS:
                if answers[door] != answers[MASTER]:
                    yield f"{path} differs between {MASTER} and {door}"
    for client in evidence.syncing:
        summaries = {}
        for door in (MASTER, *SYNCHROTRONS):
            answer = evidence.users[client.name].through(evidence.doors[door]).sync()
            summaries[door] = {
                room_id: (
                    [event["event_id"] for event in room["timeline"]["events"]],
                    sorted(event["event_id"] for event in room["state"]["events"]),
                    room.get("unread_notifications"),
                    room.get("summary"),
                )
                for room_id, room in answer["rooms"]["join"].items()
            }
        for door in SYNCHROTRONS:
            if summaries[door] != summaries[MASTER]:
                yield f"An initial /sync of {client.name} differs between {MASTER} and {door}"


def users_are_found_everywhere(evidence: Evidence) -> Iterator[str]:
    """The user directory knows all others, at every process that answers for it."""
    (_, user), *_ = evidence.users.items()
    others = [each.user_id for name, each in evidence.users.items() if name.startswith("sender")]
    expected = sorted(user_id for user_id in others if user_id != user.user_id)
    for door in (MASTER, *USER_DIRS):
        answer = user.through(evidence.doors[door]).call(
            "POST", "/user_directory/search", {"search_term": "sender", "limit": 50}
        )
        found = sorted(result["user_id"] for result in answer["results"])
        yield from differences(f"users found at {door}", found, expected)


def counts_agree(evidence: Evidence) -> Iterator[str]:
    """Counts of unread messages that a client has gathered are those of an initial sync."""
    for client in evidence.syncing:
        answer = evidence.users[client.name].sync()
        for room_id in evidence.rooms:
            fresh = answer["rooms"]["join"][room_id].get("unread_notifications")
            gathered = client.counts.get(room_id)
            if fresh != gathered:
                yield f"{client.name} has the counts {gathered} in {room_id}, afresh {fresh}"


def counts_are_those_of_the_events(evidence: Evidence) -> Iterator[str]:
    """Counts of unread messages, counted anew from events and receipts, are said everywhere.

    Every message notifies in a room of so many. A member has read up to its last receipt, or up
    to what it has last done in the room itself.
    """
    for client in evidence.syncing:
        expected = {
            room_id: _unread_messages(evidence, client.caller.user_id, room_id)
            for room_id in evidence.rooms
        }
        for door in (MASTER, *SYNCHROTRONS):
            joined = (
                evidence.users[client.name].through(evidence.doors[door]).sync()["rooms"]["join"]
            )
            found = {
                room_id: joined[room_id]["unread_notifications"]["notification_count"]
                for room_id in evidence.rooms
            }
            if found != expected:
                yield f"{client.name} has the counts {found} at {door}, not {expected}"


def _unread_messages(evidence: Evidence, user_id: str, room_id: str) -> int:
    ((last,),) = evidence.rows.query(
        "SELECT MAX(position) FROM ("
        "SELECT event_stream_ordering AS position FROM receipts WHERE room_id = ? AND user_id = ?"
        " UNION ALL SELECT stream_ordering FROM events WHERE room_id = ? AND sender = ?) AS read",
        *(room_id, user_id, room_id, user_id),
    )
    ((count,),) = evidence.rows.query(
        "SELECT COUNT(*) FROM events WHERE room_id = ? AND sender <> ? AND type = ?"
        " AND in_timeline AND stream_ordering > ?",
        *(room_id, user_id, "m.room.message", last),
    )
    return int(count)


def logs_are_quiet(evidence: Evidence) -> Iterator[str]:
    """No process has logged an error that does not belong to the fault."""
    expected = [re.compile(pattern) for pattern in evidence.expected_errors]
    for name in (MASTER, *WORKERS):
        lines = evidence.fleet.log_text(name).splitlines()
        for number, line in enumerate(lines):
            if not _BAD_LINE.search(line):
                continue
            # A traceback belongs to the line before it, and says at its end what happened.
            story = "\n".join(lines[max(0, number - 1) : number + 60])
            if not any(pattern.search(story) for pattern in expected):
                yield f"The log of {name} says: {line[:300]}"
                return


def _client_of(evidence: Evidence, name: str) -> SyncingClient:
    return next(client for client in evidence.syncing if client.name == name)


CHECKS: tuple[Check, ...] = (
    messages_are_there_once,
    bodies_are_what_was_sent,
    syncing_clients_have_each_event_once,
    senders_are_in_order,
    transactions_are_known_everywhere,
    receipts_are_the_last,
    account_data_is_the_last,
    memberships_are_the_last,
    processes_answer_the_same,
    users_are_found_everywhere,
    counts_agree,
    counts_are_those_of_the_events,
    *DATABASE_CHECKS,
    logs_are_quiet,
)
