"""Starts a generic_worker; what that is stands in `kinds.generic_worker`."""

from __future__ import annotations

from ._launch import launch

if __name__ == "__main__":
    launch("generic_worker:choose")
