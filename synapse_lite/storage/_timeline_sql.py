"""Conditions on the columns of `events`: filters of clients, and positions in a room."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import attrs

from ..types.tokens import RoomToken
from .engines._base import SQLITE
from .transaction import Transaction

Condition = tuple[str, list[Any]]


@attrs.frozen
class EventTypeFilter:
    """Which events a client wants; None where it does not care.

    In types, `*` stands for any characters (client-server API, "Filtering"). `related_by_…`: there
    is an event of one of these senders, or of these kinds of relation, that relates to it.
    """

    types: Collection[str] | None = None
    not_types: Collection[str] = ()
    senders: Collection[str] | None = None
    not_senders: Collection[str] = ()
    contains_url: bool | None = None
    rel_types: Collection[str] | None = None
    related_by_senders: Collection[str] | None = None
    related_by_rel_types: Collection[str] | None = None

    def condition(self, txn: Transaction) -> Condition:
        """SQL that begins with AND, or nothing."""
        parts: list[Condition] = []
        if self.types is not None:
            parts.append(_any_of(txn, self.types))
        if self.not_types:
            parts.append(_negated(_any_of(txn, self.not_types)))
        if self.senders is not None:
            parts.append(_one_of(txn, "sender", self.senders))
        if self.not_senders:
            parts.append(_negated(_one_of(txn, "sender", self.not_senders)))
        if self.rel_types is not None:
            parts.append(_one_of(txn, "rel_type", self.rel_types))
        if self.contains_url is not None:
            parts.append(("contains_url = ?", [self.contains_url]))
        if self.related_by_senders is not None or self.related_by_rel_types is not None:
            parts.append(self._related(txn))
        sql = "".join(f" AND {part}" for part, _ in parts)
        return sql, [arg for _, args in parts for arg in args]

    def _related(self, txn: Transaction) -> Condition:
        """That one event relates to it which is of these senders and of these kinds."""
        parts = []
        if self.related_by_senders is not None:
            parts.append(_one_of(txn, "relation.sender", self.related_by_senders))
        if self.related_by_rel_types is not None:
            parts.append(_one_of(txn, "relation.rel_type", self.related_by_rel_types))
        wanted = " AND ".join(part for part, _ in parts)
        return (
            "EXISTS (SELECT 1 FROM events AS relation WHERE relation.relates_to = events.event_id"
            " AND relation.room_id = events.room_id AND relation.redacted_by IS NULL"
            f" AND relation.soft_failed = ? AND {wanted})",
            [False, *(arg for _, args in parts for arg in args)],
        )


def _one_of(txn: Transaction, column: str, values: Collection[str]) -> Condition:
    if not values:
        return "1 = 0", []
    return txn.in_clause(column, list(values))


def _any_of(txn: Transaction, patterns: Collection[str]) -> Condition:
    plain = [pattern for pattern in patterns if "*" not in pattern]
    parts = [_one_of(txn, "type", plain)]
    parts += [_matching(txn, pattern) for pattern in patterns if "*" in pattern]
    return f"({' OR '.join(part for part, _ in parts)})", [arg for _, args in parts for arg in args]


def _matching(txn: Transaction, pattern: str) -> Condition:
    if txn.engine.name == SQLITE:
        # LIKE takes no account of case there. In GLOB, a class takes away the special meaning.
        escaped = "".join(f"[{char}]" if char in "[?" else char for char in pattern)
        return "type GLOB ?", [escaped]
    escaped = "".join(f"\\{char}" if char in "\\%_" else char for char in pattern)
    return "type LIKE ?", [escaped.replace("*", "%")]


def _negated(condition: Condition) -> Condition:
    return f"NOT ({condition[0]})", condition[1]


def before(token: RoomToken) -> Condition:
    """Events at or before a position; it lies directly after the event that it names."""
    if token.depth is None:
        return "stream_ordering <= ?", [token.stream_ordering]
    return "(depth, stream_ordering) <= (?, ?)", [token.depth, token.stream_ordering]


def after(token: RoomToken) -> Condition:
    """Events after a position."""
    if token.depth is None:
        return "stream_ordering > ?", [token.stream_ordering]
    return "(depth, stream_ordering) > (?, ?)", [token.depth, token.stream_ordering]
