"""User-interactive authentication: sessions in which a client completes stages.

A session belongs to one operation of one user. Until a stage is completed the client may still
change its request, as clients do that first ask which flows there are; the first completed stage
binds the session to the request that it came with. The last stage of a flow is not stored: it
comes with the request that it lets through, so that an approval cannot be used twice. It is stored
only if the user completed it on a web page; then the session ends with the request that it lets
through, whatever becomes of that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import attrs

from ..api.errors import ForbiddenError, InteractiveAuthError, LimitExceededError, MatrixError
from ..crypto.signing import SigningKey
from ..http.parameters import optional_dict, optional_str
from ..server import Homeserver
from ..storage.ui_auth import UiAuthSession, UiAuthStore
from ..util.clock import Repeating
from ..util.json import JsonDict, JsonValue, encode_canonical_json
from .ui_auth_stages import UiAuthStages

EXPIRE_SECONDS = 3600.0

_MAX_SESSION_ID_BYTES = 64
_MAX_STAGE_BYTES = 255

Flow = tuple[str, ...]
"""Stages to be completed in this order."""


@attrs.frozen
class Operation:
    """What needs approval: a name that tells it from all others, and whose account it concerns.

    `user_id` is None for operations without account, such as registration.
    """

    name: str
    flows: Sequence[Flow]
    user_id: str | None = None
    client_ip: str = ""

    @property
    def key(self) -> str:
        """What a session is bound to."""
        return self.name if self.user_id is None else f"{self.name} {self.user_id}"


@attrs.frozen
class Approval:
    """A flow was completed. `results` holds what its stages found out."""

    session_id: str | None
    results: Mapping[str, JsonValue]


class UiAuthHandler:
    """Asks for stages until a flow is complete. Also a duty, which forgets old sessions."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(UiAuthStore)
        self._stages = hs.part(UiAuthStages)
        self._signing_key = hs.signing_key
        self._clock = hs.clock
        self._timer: Repeating | None = None

    async def start(self) -> None:
        """Begin to forget sessions that have expired."""
        self._timer = self._clock.every(
            EXPIRE_SECONDS,
            self._store.delete_expired_ui_auth_sessions,
            name="expire_ui_auth_sessions",
        )

    async def stop(self) -> None:
        """Stop that."""
        if self._timer is not None:
            self._timer.stop()

    async def approve(self, operation: Operation, body: JsonDict) -> Approval:
        """Let an operation through once a flow is complete; call `finish` after it.

        Raises InteractiveAuthError with what the client has to do next, ForbiddenError for a
        session of something else, LimitExceededError.
        """
        auth = optional_dict(body, "auth")
        if auth is None:
            raise await self._challenge(operation, None)
        session = await self._session(operation, auth)
        digest = _digest(self._signing_key, body)
        completed = {} if session is None else dict(session.completed)
        if session is not None and session.request_digest not in (None, digest):
            raise ForbiddenError("The request has changed during authentication")
        stage = optional_str(auth, "type", max_bytes=_MAX_STAGE_BYTES)
        is_attempt = stage is not None and stage not in completed
        if stage is not None and is_attempt:
            if not _is_next(operation.flows, completed, stage):
                raise await self._challenge(
                    operation, session, MatrixError("Unknown stage", errcode="M_UNRECOGNIZED")
                )
            completed[stage] = await self._attempt(operation, session, stage, auth)
            if tuple(completed) not in operation.flows:
                session = await self._complete(operation, session, stage, completed, digest)
        if tuple(completed) not in operation.flows:
            raise await self._challenge(operation, session)
        if session is not None and not is_attempt:
            await self._use_up(operation, session)
            session = None
        return Approval(None if session is None else session.session_id, completed)

    async def finish(self, approval: Approval) -> None:
        """Forget the session of an operation that was done."""
        if approval.session_id is not None:
            await self._store.delete_ui_auth_session(approval.session_id)

    async def _session(self, operation: Operation, auth: JsonDict) -> UiAuthSession | None:
        """The session that the client names; None if it names none yet."""
        session_id = optional_str(auth, "session", max_bytes=_MAX_SESSION_ID_BYTES)
        if session_id is None:
            return None
        session = await self._store.get_ui_auth_session(session_id)
        if session is None:
            raise await self._challenge(operation, None, _unknown_session())
        if session.operation != operation.key:
            raise ForbiddenError("The session is for another operation")
        return session

    async def _use_up(self, operation: Operation, session: UiAuthSession) -> None:
        """End a session whose stages were all completed before; of two requests one gets it."""
        if not await self._store.delete_ui_auth_session(session.session_id):
            raise await self._challenge(operation, None, _unknown_session())

    async def _attempt(
        self, operation: Operation, session: UiAuthSession | None, stage: str, auth: JsonDict
    ) -> JsonValue:
        """The result of a stage; when it fails the client may try again."""
        try:
            return await self._stages.check(stage, auth, operation.user_id, operation.client_ip)
        except LimitExceededError:
            raise
        except MatrixError as error:
            raise await self._challenge(operation, session, error) from error

    async def _complete(
        self,
        operation: Operation,
        session: UiAuthSession | None,
        stage: str,
        completed: Mapping[str, JsonValue],
        digest: str,
    ) -> UiAuthSession:
        """Store a stage that others must follow."""
        session = session or await self._store.create_ui_auth_session(operation.key)
        await self._store.complete_ui_auth_stage(session, stage, completed[stage], digest)
        return attrs.evolve(session, completed=completed, request_digest=digest)

    async def _challenge(
        self,
        operation: Operation,
        session: UiAuthSession | None,
        error: MatrixError | None = None,
    ) -> InteractiveAuthError:
        """What to answer: flows, parameters, session, completed stages; why an attempt failed."""
        session = session or await self._store.create_ui_auth_session(operation.key)
        body: JsonDict = {
            "flows": [{"stages": list(flow)} for flow in operation.flows],
            "params": {},
            "session": session.session_id,
        }
        if session.completed:
            body["completed"] = list(session.completed)
        if error is not None:
            body.update(error.to_json())
        return InteractiveAuthError(body)


def _unknown_session() -> MatrixError:
    return MatrixError("The session is unknown or has expired")


def _is_next(flows: Sequence[Flow], completed: Mapping[str, JsonValue], stage: str) -> bool:
    so_far = (*completed, stage)
    return any(flow[: len(so_far)] == so_far for flow in flows)


def _digest(signing_key: SigningKey, body: JsonDict) -> str:
    """Tells requests apart. Keyed, because a request may hold a password.

    Ed25519 signatures are deterministic and need the server's key, which every process has.
    """
    request = {key: value for key, value in body.items() if key != "auth"}
    message = b"ui_auth\0" + encode_canonical_json(request)
    return hashlib.sha256(signing_key.sign(message)).hexdigest()
