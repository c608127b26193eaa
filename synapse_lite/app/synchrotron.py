"""Starts a synchrotron; what that is stands in `kinds.synchrotron`."""

from __future__ import annotations

from ._launch import launch

if __name__ == "__main__":
    launch("synchrotron:SYNCHROTRON")
