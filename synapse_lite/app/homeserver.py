"""Starts the master; what that is stands in `kinds.homeserver`."""

from __future__ import annotations

from ._launch import launch

if __name__ == "__main__":
    launch("homeserver:MASTER")
