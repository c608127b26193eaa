"""`slctl`: starts and watches the processes of a server, and does the operator's other chores."""

from __future__ import annotations

from ._commands import main

__all__ = ["main"]
