"""Starts a user_dir; what that is stands in `kinds.user_dir`."""

from __future__ import annotations

from ._launch import launch

if __name__ == "__main__":
    launch("user_dir:USER_DIR")
