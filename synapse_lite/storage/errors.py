"""What storage raises. Never an HTTP status: handlers decide what a client is told."""

from __future__ import annotations


class StoreError(Exception):
    """Base of the errors that storage raises on purpose."""


class ConflictError(StoreError):
    """A row with the same unique key is there already (or another constraint was broken)."""


class DatabaseUnavailableError(StoreError):
    """The database could not be reached, or stayed locked, through all attempts."""


class DiskFullError(DatabaseUnavailableError):
    """There is no room for what was to be written; nothing of the transaction is there."""


class CommitUnknownError(StoreError):
    """The connection broke during a commit and the database cannot say whether it took effect."""


class DatabaseNotReadyError(StoreError):
    """The database is empty, or awaits the master's upgrade. A worker waits and looks again."""


class WrongDatabaseError(StoreError):
    """This code must not open this database: too new, or with an unsuitable encoding."""
