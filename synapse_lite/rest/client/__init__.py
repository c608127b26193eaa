"""The client-server API: one module for each family of endpoints."""

from __future__ import annotations

from ...http.endpoint import Servlet
from . import (
    account,
    create_room,
    devices,
    login,
    profile,
    register,
    room_membership,
    room_send,
    versions,
)

# One line for each module: `*module.SERVLETS`.
SERVLETS: tuple[type[Servlet], ...] = (
    *account.SERVLETS,
    *create_room.SERVLETS,
    *devices.SERVLETS,
    *login.SERVLETS,
    *profile.SERVLETS,
    *register.SERVLETS,
    *room_membership.SERVLETS,
    *room_send.SERVLETS,
    *versions.SERVLETS,
)
