"""Who is online."""

from __future__ import annotations

from ._base import LIVE, Counter, Stream, Wakes, row


@row
class PresenceRow:
    """The presence of a user, whole. Times are milliseconds since the epoch, 0 for never.

    `last_federation_update_ts` is when other servers were last told, or, for a user of theirs, when
    they told us; `last_user_sync_ts` when a client of the user synced last. While
    `currently_active` is set, `last_active_ts` may be older than the user's last activity.
    """

    user_id: str
    state: str
    last_active_ts: int
    last_federation_update_ts: int
    last_user_sync_ts: int
    status_msg: str | None
    currently_active: bool


def _presence_wakes(presence: PresenceRow) -> Wakes:
    return Wakes(sharing=(presence.user_id,))


PRESENCE = Stream(
    name="presence",
    says="The presence of a user has changed.",
    row=PresenceRow,
    counter=Counter("presence"),
    rows=LIVE,
    changed={"presence_changed": "user_id"},
    wakes=_presence_wakes,
)
