"""The client-server API: one module for each family of endpoints."""

from __future__ import annotations

from ...http.endpoint import Servlet
from . import (
    account,
    create_room,
    devices,
    directory,
    filter,
    login,
    profile,
    push_rules,
    register,
    room_history,
    room_membership,
    room_send,
    room_state,
    sync,
    versions,
)

# One line for each module: `*module.SERVLETS`.
SERVLETS: tuple[type[Servlet], ...] = (
    *account.SERVLETS,
    *create_room.SERVLETS,
    *devices.SERVLETS,
    *directory.SERVLETS,
    *filter.SERVLETS,
    *login.SERVLETS,
    *profile.SERVLETS,
    *push_rules.SERVLETS,
    *register.SERVLETS,
    *room_history.SERVLETS,
    *room_membership.SERVLETS,
    *room_send.SERVLETS,
    *room_state.SERVLETS,
    *sync.SERVLETS,
    *versions.SERVLETS,
)
