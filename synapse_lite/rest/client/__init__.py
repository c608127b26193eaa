"""The client-server API: one module for each family of endpoints."""

from __future__ import annotations

from ...http.endpoint import Servlet
from . import create_room, room_membership, room_send
from . import account, devices, login, profile, register, versions

# One line for each module: `*module.SERVLETS`.
SERVLETS: tuple[type[Servlet], ...] = (
    *account.SERVLETS,
    *devices.SERVLETS,
    *login.SERVLETS,
    *profile.SERVLETS,
    *register.SERVLETS,
    *versions.SERVLETS,
)
