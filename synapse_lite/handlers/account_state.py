"""Accounts that cannot be used, though whoever asks has proved that they are theirs."""

from __future__ import annotations

from ..api.errors import UnknownTokenError, UserDeactivatedError, UserLockedError
from ..storage.registration import User


def check_usable(user: User | None, *, allow_locked: bool = False) -> None:
    """Raise UserDeactivatedError, UserLockedError, and UnknownTokenError for no account at all."""
    if user is None:
        raise UnknownTokenError
    if user.is_deactivated:
        raise UserDeactivatedError("This account has been deactivated")
    if user.is_locked and not allow_locked:
        # The client must keep what it has, and may log in again once the account is unlocked.
        raise UserLockedError("This account has been locked", extra={"soft_logout": True})
