"""The table of processes: the one list of what kinds there are."""

from __future__ import annotations

from .kinds.client_reader import CLIENT_READER
from .kinds.event_creator import EVENT_CREATOR
from .kinds.homeserver import MASTER
from .kinds.synchrotron import SYNCHROTRON
from .kinds.user_dir import USER_DIR

WORKERS = (CLIENT_READER, EVENT_CREATOR, SYNCHROTRON, USER_DIR)
"""Kinds of worker; a generic_worker combines some of them."""

PROCESSES = (MASTER, *WORKERS)

__all__ = ["MASTER", "PROCESSES", "WORKERS"]
