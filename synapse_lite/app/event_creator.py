"""Starts an event_creator; what that is stands in `kinds.event_creator`."""

from __future__ import annotations

from ._launch import launch

if __name__ == "__main__":
    launch("event_creator:EVENT_CREATOR")
