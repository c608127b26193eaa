"""The errors of the Matrix APIs, one class for each errcode that declares it.

Handlers raise them; `http.endpoint` alone turns them into answers. An error that another process
or server sent as JSON becomes an instance of the right class again by `from_json`.
"""

from __future__ import annotations

from typing import ClassVar

from ..util.json import JsonDict

_BY_ERRCODE: dict[str, type[MatrixError]] = {}


class MatrixError(Exception):
    """An answer with a status other than 200: `{"errcode": …, "error": message, **extra}`."""

    STATUS: ClassVar[int] = 500
    ERRCODE: ClassVar[str] = "M_UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        errcode: str | None = None,
        extra: JsonDict | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.STATUS if status is None else status
        self.errcode = self.ERRCODE if errcode is None else errcode
        self.extra: JsonDict = extra or {}

    def __init_subclass__(cls) -> None:
        _BY_ERRCODE.setdefault(cls.ERRCODE, cls)

    def to_json(self) -> JsonDict:
        """The body of the answer."""
        return {**self.extra, "errcode": self.errcode, "error": self.message}

    @staticmethod
    def from_json(status: int, body: object) -> MatrixError:
        """The error that an answer of another process or server carries.

        A body without a usable errcode counts as M_UNKNOWN; an errcode that has no class here gives
        a plain MatrixError.
        """
        if not isinstance(body, dict):
            body = {}
        errcode = body.get("errcode")
        message = body.get("error")
        extra = {key: value for key, value in body.items() if key not in ("errcode", "error")}
        errcode = errcode if isinstance(errcode, str) else "M_UNKNOWN"
        message = message if isinstance(message, str) else "Unknown error"
        cls = _BY_ERRCODE.get(errcode, MatrixError)
        error = cls.__new__(cls)
        MatrixError.__init__(error, message, status=status, errcode=errcode, extra=extra)
        return error


class UnknownError(MatrixError):
    """Something went wrong that no other class says."""

    STATUS = 500
    ERRCODE = "M_UNKNOWN"


class UnavailableError(UnknownError):
    """Something that the server needs is away for a while; nothing is wrong with the request."""

    STATUS = 503


class ForbiddenError(MatrixError):
    """The requester may not do this."""

    STATUS = 403
    ERRCODE = "M_FORBIDDEN"


class UnknownTokenError(MatrixError):
    """The access token is not (or no longer) valid."""

    STATUS = 401
    ERRCODE = "M_UNKNOWN_TOKEN"

    def __init__(self, message: str = "Unknown access token", *, soft_logout: bool = False) -> None:
        super().__init__(message, extra={"soft_logout": soft_logout})


class MissingTokenError(MatrixError):
    """The request carries no access token."""

    STATUS = 401
    ERRCODE = "M_MISSING_TOKEN"


class UnauthorizedError(MatrixError):
    """A request between servers or processes is not properly signed."""

    STATUS = 401
    ERRCODE = "M_UNAUTHORIZED"


class UserDeactivatedError(MatrixError):
    """The account has been deactivated."""

    STATUS = 403
    ERRCODE = "M_USER_DEACTIVATED"


class UserLockedError(MatrixError):
    """The account is locked."""

    STATUS = 401
    ERRCODE = "M_USER_LOCKED"


class BadJsonError(MatrixError):
    """The JSON is well-formed, but not what the operation takes."""

    STATUS = 400
    ERRCODE = "M_BAD_JSON"


class NotJsonError(MatrixError):
    """The body is not JSON."""

    STATUS = 400
    ERRCODE = "M_NOT_JSON"


class NotFoundError(MatrixError):
    """The thing asked for does not exist, or the requester may not know of it."""

    STATUS = 404
    ERRCODE = "M_NOT_FOUND"


class LimitExceededError(MatrixError):
    """Too many requests; `retry_after_ms` says how long to wait."""

    STATUS = 429
    ERRCODE = "M_LIMIT_EXCEEDED"

    def __init__(self, message: str = "Too many requests", *, retry_after_ms: int) -> None:
        super().__init__(message, extra={"retry_after_ms": retry_after_ms})


class UnrecognizedError(MatrixError):
    """No such endpoint (404), or not with this method (405)."""

    STATUS = 404
    ERRCODE = "M_UNRECOGNIZED"


class UserInUseError(MatrixError):
    """The user name is taken."""

    STATUS = 400
    ERRCODE = "M_USER_IN_USE"


class InvalidUsernameError(MatrixError):
    """The user name has characters that a user id must not have."""

    STATUS = 400
    ERRCODE = "M_INVALID_USERNAME"


class ExclusiveError(MatrixError):
    """The name lies in an application service's own namespace."""

    STATUS = 400
    ERRCODE = "M_EXCLUSIVE"


class WeakPasswordError(MatrixError):
    """The password does not satisfy the server's policy."""

    STATUS = 400
    ERRCODE = "M_WEAK_PASSWORD"


class RoomInUseError(MatrixError):
    """The alias that a new room shall have is taken."""

    STATUS = 400
    ERRCODE = "M_ROOM_IN_USE"


class InvalidRoomStateError(MatrixError):
    """The initial state of a new room is not valid."""

    STATUS = 400
    ERRCODE = "M_INVALID_ROOM_STATE"


class UnsupportedRoomVersionError(MatrixError):
    """The server does not know the room version asked for."""

    STATUS = 400
    ERRCODE = "M_UNSUPPORTED_ROOM_VERSION"


class IncompatibleRoomVersionError(MatrixError):
    """The room's version is not among those that the joining server knows."""

    STATUS = 400
    ERRCODE = "M_INCOMPATIBLE_ROOM_VERSION"

    def __init__(self, message: str, *, room_version: str) -> None:
        super().__init__(message, extra={"room_version": room_version})


class BadStateError(MatrixError):
    """The state change cannot be made, for example unbanning a user who is not banned."""

    STATUS = 403
    ERRCODE = "M_BAD_STATE"


class BadAliasError(MatrixError):
    """An alias in `m.room.canonical_alias` does not point to the room."""

    STATUS = 400
    ERRCODE = "M_BAD_ALIAS"


class DuplicateAnnotationError(MatrixError):
    """The same reaction was sent before."""

    STATUS = 400
    ERRCODE = "M_DUPLICATE_ANNOTATION"


class MissingParamError(MatrixError):
    """A required parameter is absent."""

    STATUS = 400
    ERRCODE = "M_MISSING_PARAM"


class InvalidParamError(MatrixError):
    """A parameter has a value that it must not have."""

    STATUS = 400
    ERRCODE = "M_INVALID_PARAM"


class TooLargeError(MatrixError):
    """The request or the event is larger than allowed."""

    STATUS = 413
    ERRCODE = "M_TOO_LARGE"


class InviteBlockedError(MatrixError):
    """The invited user takes no invites."""

    STATUS = 403
    ERRCODE = "M_INVITE_BLOCKED"


class GuestAccessForbiddenError(MatrixError):
    """Guests may not do this."""

    STATUS = 403
    ERRCODE = "M_GUEST_ACCESS_FORBIDDEN"


class UserSuspendedError(MatrixError):
    """The account is suspended, and may not do this meanwhile."""

    STATUS = 403
    ERRCODE = "M_USER_SUSPENDED"


class ServerNotTrustedError(MatrixError):
    """The request names a server, such as an identity server, that this server does not trust."""

    STATUS = 400
    ERRCODE = "M_SERVER_NOT_TRUSTED"


class ThreepidAuthFailedError(MatrixError):
    """It was not proved whose a third-party identifier is."""

    STATUS = 403
    ERRCODE = "M_THREEPID_AUTH_FAILED"


class ThreepidDeniedError(MatrixError):
    """This third-party identifier is not permitted here."""

    STATUS = 403
    ERRCODE = "M_THREEPID_DENIED"


class ThreepidInUseError(MatrixError):
    """Another account has the third-party identifier."""

    STATUS = 400
    ERRCODE = "M_THREEPID_IN_USE"


class ThreepidMediumNotSupportedError(MatrixError):
    """Third-party identifiers of this kind cannot be added here."""

    STATUS = 400
    ERRCODE = "M_THREEPID_MEDIUM_NOT_SUPPORTED"


class ThreepidNotFoundError(MatrixError):
    """No account has the third-party identifier."""

    STATUS = 400
    ERRCODE = "M_THREEPID_NOT_FOUND"


class CannotLeaveServerNoticeRoomError(MatrixError):
    """The room of server notices cannot be left."""

    STATUS = 403
    ERRCODE = "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM"


class UnknownPosError(MatrixError):
    """The position of a sliding sync connection is not known any more."""

    STATUS = 400
    ERRCODE = "M_UNKNOWN_POS"


class InteractiveAuthError(MatrixError):
    """More stages of user-interactive authentication are needed.

    `body` is the whole answer (flows, params, session, completed; errcode and error when a stage
    failed), client-server API, section "User-interactive authentication API".
    """

    STATUS = 401
    ERRCODE = "M_UNAUTHORIZED_UIA"

    def __init__(self, body: JsonDict) -> None:
        super().__init__("User-interactive authentication is required", extra=body)

    def to_json(self) -> JsonDict:
        return self.extra
