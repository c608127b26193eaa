"""Starts a client_reader; what that is stands in `kinds.client_reader`."""

from __future__ import annotations

from ._launch import launch

if __name__ == "__main__":
    launch("client_reader:CLIENT_READER")
