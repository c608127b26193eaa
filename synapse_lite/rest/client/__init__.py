"""The client-server API: one module for each family of endpoints."""

from __future__ import annotations

from ...http.endpoint import Servlet
from . import (
    account,
    account_data,
    create_room,
    devices,
    directory,
    filter,
    login,
    profile,
    push_rules,
    receipts,
    register,
    room_history,
    room_membership,
    room_send,
    room_state,
    sync,
    tags,
    typing,
    versions,
)

# One line for each module: `*module.SERVLETS`.
SERVLETS: tuple[type[Servlet], ...] = (
    *account.SERVLETS,
    *account_data.SERVLETS,
    *create_room.SERVLETS,
    *devices.SERVLETS,
    *directory.SERVLETS,
    *filter.SERVLETS,
    *login.SERVLETS,
    *profile.SERVLETS,
    *push_rules.SERVLETS,
    *receipts.SERVLETS,
    *register.SERVLETS,
    *room_history.SERVLETS,
    *room_membership.SERVLETS,
    *room_send.SERVLETS,
    *room_state.SERVLETS,
    *sync.SERVLETS,
    *tags.SERVLETS,
    *typing.SERVLETS,
    *versions.SERVLETS,
)
