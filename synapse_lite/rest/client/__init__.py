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
    mutual_rooms,
    profile,
    push_rules,
    receipts,
    register,
    reports,
    room_history,
    room_membership,
    room_send,
    room_state,
    room_summary,
    room_upgrade,
    sync,
    tags,
    third_party,
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
    *mutual_rooms.SERVLETS,
    *profile.SERVLETS,
    *push_rules.SERVLETS,
    *receipts.SERVLETS,
    *register.SERVLETS,
    *reports.SERVLETS,
    *room_history.SERVLETS,
    *room_membership.SERVLETS,
    *room_send.SERVLETS,
    *room_state.SERVLETS,
    *room_summary.SERVLETS,
    *room_upgrade.SERVLETS,
    *sync.SERVLETS,
    *tags.SERVLETS,
    *third_party.SERVLETS,
    *typing.SERVLETS,
    *versions.SERVLETS,
)
