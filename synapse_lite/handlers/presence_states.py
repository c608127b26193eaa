"""What becomes of a user's presence: pure functions from one state to the next.

A state is the row of the stream. What happens to a user is activity, a status that a client sets,
a change of the user's syncs, or nothing for a while. Client-server API, "Presence".
"""

from __future__ import annotations

import enum

from ..api.constants import PresenceState
from ..storage.presence import CURRENTLY_ACTIVE_MS, as_offline, with_changes
from ..streams import PresenceRow

IDLE_MS = 5 * 60 * 1000
"""Without activity for so long, an online user is idle."""

OFFLINE_MS = 30 * 1000
"""A user of this server goes offline so long after the last sync and activity."""

REMOTE_OFFLINE_MS = 30 * 60 * 1000
"""A user of another server goes offline when that has said nothing for so long."""

ACTIVITY_STEP_MS = 10 * 1000
"""How finely the time of the last activity is kept."""


class Syncing(enum.IntEnum):
    """How a user syncs: the strongest of all running syncs, by their `set_presence`."""

    NO = 0
    IDLE = 1
    """Clients ask to be shown as unavailable."""

    PLAIN = 2
    """Clients say nothing: the user is idle after a time without activity."""

    ACTIVE = 3
    """A client says that the user is online."""


def after_activity(state: PresenceRow, now_ms: int) -> PresenceRow:
    """The user has done something. That makes an idle user online, but not one who is offline:
    those who act without syncing, such as bots, and those who wish to be taken for offline.
    """
    if state.state == PresenceState.ONLINE:
        if state.currently_active and now_ms - state.last_active_ts < ACTIVITY_STEP_MS:
            return state
        return with_changes(state, last_active_ts=now_ms, currently_active=True)
    if state.state == PresenceState.UNAVAILABLE:
        return _online(state, now_ms)
    return with_changes(state, last_active_ts=now_ms)


def after_status(
    state: PresenceRow, presence: str, status_msg: str | None, now_ms: int
) -> PresenceRow:
    """A client has set the status."""
    if presence == PresenceState.OFFLINE:
        return as_offline(with_changes(state, last_active_ts=now_ms))
    is_online = presence == PresenceState.ONLINE
    return with_changes(
        state,
        state=presence,
        last_active_ts=now_ms,
        status_msg=status_msg,
        currently_active=is_online,
    )


def after_sync_change(state: PresenceRow, before: Syncing, now: Syncing, at_ms: int) -> PresenceRow:
    """The user has begun to sync, or ended, or syncs in another manner since a time."""
    state = with_changes(state, last_user_sync_ts=max(state.last_user_sync_ts, at_ms))
    if before == Syncing.ACTIVE:
        state = with_changes(state, last_active_ts=max(state.last_active_ts, at_ms))
    if now == Syncing.ACTIVE:
        return _online(state, at_ms)
    if now == Syncing.PLAIN and before < now and state.state == PresenceState.OFFLINE:
        return _online(state, at_ms)
    if now == Syncing.IDLE:
        return with_changes(state, state=PresenceState.UNAVAILABLE, currently_active=False)
    return state


def after_time(
    state: PresenceRow, syncing: Syncing, now_ms: int, *, is_mine: bool = True
) -> PresenceRow:
    """The state at a time at which nothing else has happened."""
    if state.state == PresenceState.OFFLINE:
        return state
    offline_at = _offline_at(state, syncing, is_mine)
    if offline_at is not None and now_ms >= offline_at:
        return as_offline(state)
    if not is_mine or syncing == Syncing.ACTIVE:
        return state
    idle_ms = now_ms - state.last_active_ts
    if state.state == PresenceState.ONLINE and idle_ms >= IDLE_MS:
        return with_changes(state, state=PresenceState.UNAVAILABLE, currently_active=False)
    if state.currently_active and idle_ms >= CURRENTLY_ACTIVE_MS:
        return with_changes(state, currently_active=False)
    return state


def next_change_at(state: PresenceRow, syncing: Syncing, *, is_mine: bool = True) -> int | None:
    """When `after_time` may change the state next, if nothing else happens; None for never."""
    if state.state == PresenceState.OFFLINE:
        return None
    offline_at = _offline_at(state, syncing, is_mine)
    times = [] if offline_at is None else [offline_at]
    if is_mine and syncing != Syncing.ACTIVE and state.state == PresenceState.ONLINE:
        wait = CURRENTLY_ACTIVE_MS if state.currently_active else IDLE_MS
        times.append(state.last_active_ts + wait)
    return min(times, default=None)


def _offline_at(state: PresenceRow, syncing: Syncing, is_mine: bool) -> int | None:
    if not is_mine:
        return state.last_federation_update_ts + REMOTE_OFFLINE_MS
    if syncing != Syncing.NO:
        return None
    return max(state.last_user_sync_ts, state.last_active_ts) + OFFLINE_MS


def is_notable(told: PresenceRow, state: PresenceRow) -> bool:
    """Whether those who were told a state must be told of another.

    A user who is active now is so until they are told otherwise; how long ago somebody was active
    who is offline can be asked for.
    """
    if told.state != state.state or told.status_msg != state.status_msg:
        return True
    if told.currently_active != state.currently_active:
        return True
    if state.currently_active or state.state == PresenceState.OFFLINE:
        return False
    return state.last_active_ts - told.last_active_ts > CURRENTLY_ACTIVE_MS


def _online(state: PresenceRow, now_ms: int) -> PresenceRow:
    return with_changes(
        state,
        state=PresenceState.ONLINE,
        last_active_ts=max(state.last_active_ts, now_ms),
        currently_active=True,
    )
