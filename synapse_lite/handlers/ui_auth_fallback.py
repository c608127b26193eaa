"""Stages of user-interactive authentication that a user completes in a web browser.

For clients that do not know a stage (client-server API, "Fallback"). The stage is noted in the
session; the client then repeats its request with the session alone.
"""

from __future__ import annotations

from ..api.errors import InvalidParamError, UnrecognizedError
from ..server import Homeserver
from ..storage.ui_auth import UiAuthSession, UiAuthStore
from ..util.json import JsonDict
from .ui_auth_stages import UiAuthStages

_MAX_SESSION_ID_BYTES = 64


class UiAuthFallback:
    """Completes stages outside of the request that they are for, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(UiAuthStore)
        self._stages = hs.part(UiAuthStages)

    async def session(self, stage: str, session_id: str) -> UiAuthSession:
        """The session in which a stage is to be completed.

        Raises UnrecognizedError for a stage that there is not, InvalidParamError for a session that
        is unknown or has expired.
        """
        if stage not in self._stages.names:
            raise UnrecognizedError("There is no such stage")
        session = None
        if len(session_id) <= _MAX_SESSION_ID_BYTES:
            session = await self._store.get_ui_auth_session(session_id)
        if session is None:
            raise InvalidParamError("The session is unknown or has expired")
        return session

    async def complete(
        self, session: UiAuthSession, stage: str, auth: JsonDict, client_ip: str
    ) -> None:
        """Check what the user has submitted, and note the stage; once done it stays so.

        Raises MatrixError, of any class, if the stage is not passed.
        """
        if stage in session.completed:
            return
        result = await self._stages.check(stage, auth, session.user_id, client_ip)
        await self._store.complete_ui_auth_stage(session, stage, result)
