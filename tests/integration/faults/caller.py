"""A logged-in client whose requests are recorded, and repeated until they are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from ..client import NO_ANSWER, RETRIED, V3, Client, HttpError, Json, User
from ..deployment import NGINX
from .record import NO_ANSWER_STATUS, Exchange, Record

PATIENCE_SECONDS = 240.0
"""For how long a request is repeated; a fault that lasts longer than that is a failure."""

REQUEST_SECONDS = 120.0
"""Longer than any connection is stalled: a client that gave up might see its request carried out
after its next one."""

_PAUSES = (0.05, 0.1, 0.2, 0.4)


class GaveUpError(AssertionError):
    """No answer to a request for as long as a client has patience."""


class Caller:
    """`doors` are the URLs by name at which requests may be made; the first try goes to nginx."""

    def __init__(self, actor: str, user: User, doors: Mapping[str, Client], record: Record) -> None:
        self.actor = actor
        self.user_id = user.user_id
        self._record = record
        self._users = {name: user.through(client) for name, client in doors.items()}
        self._waiting = threading.Event()

    def once(self, method: str, path: str, body: object = None, door: str = NGINX) -> Json:
        """One request below /_matrix/client/v3. Raises what `User.call` raises."""
        began, status, result = self._record.now(), NO_ANSWER_STATUS, ""
        try:
            answer = self._users[door].call(method, path, body)
            status, result = 200, str(answer.get("event_id") or answer.get("next_batch") or "")
            return answer
        except HttpError as error:
            status, result = error.status, error.body[:200].decode("utf-8", "replace")
            raise
        except NO_ANSWER as error:
            result = repr(error)
            raise
        finally:
            ended = self._record.now()
            path = path.partition("?")[0]
            self._record.add(
                Exchange(self.actor, door, method, V3 + path, began, ended, status, result)
            )

    def until_answered(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        doors: Sequence[str] = (NGINX,),
        settled: Sequence[int] = (),
    ) -> Json:
        """Repeat a request until it is acknowledged, at one door after the other.

        A status in `settled` is good as well once a request was left unanswered: what was asked
        has been done already. Raises HttpError for any other, and GaveUpError.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        attempt = 0
        while True:
            try:
                return self.once(method, path, body, doors[attempt % len(doors)])
            except NO_ANSWER:
                pass
            except HttpError as error:
                if attempt and error.status in settled:
                    return {}
                if error.status not in RETRIED:
                    raise
            if time.monotonic() > deadline:
                raise GaveUpError(f"{method} {path} was not answered")
            self._waiting.wait(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1
