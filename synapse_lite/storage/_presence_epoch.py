"""What is known of presence in an epoch that has ended, for clients that were told in it.

A master that was restarted tells of nearly the same users as the one before. Those whom a client
of the ended epoch must be told of are few: who had changed after its position, and who is not as
before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..streams import PresenceRow


class EndedEpoch:
    """An epoch that this process has followed from the position `low` to its end.

    `changed_at` has the last change of each user, `rows` those who were not offline at the end.
    """

    def __init__(
        self, low: int, changed_at: Mapping[str, int], rows: Mapping[str, PresenceRow]
    ) -> None:
        self._low = low
        self._high = max(changed_at.values(), default=low)
        self._changed_at = changed_at
        self._unconfirmed = dict(rows)
        self._unchanged: set[str] = set()

    def knows(self, token: int) -> bool:
        """Whether every change after a position of the epoch is known."""
        return 0 < self._low <= token <= self._high

    def note(self, row: PresenceRow) -> None:
        """A row of the new epoch: the first of a user may say nothing new."""
        before = self._unconfirmed.pop(row.user_id, None)
        if before is not None and _look(before) == _look(row):
            self._unchanged.add(row.user_id)
        else:
            self._unchanged.discard(row.user_id)

    def changed_since(self, token: int, new: Iterable[str]) -> list[str]:
        """Who may be different from what they were at a position of the epoch.

        `new` are the users of whom there were rows since.
        """
        changed = dict.fromkeys(user for user, at in self._changed_at.items() if at > token)
        changed.update(dict.fromkeys(self._unconfirmed))
        changed.update(dict.fromkeys(user for user in new if user not in self._unchanged))
        return list(changed)


def _look(row: PresenceRow) -> tuple[str, str | None, bool]:
    return row.state, row.status_msg, row.currently_active
