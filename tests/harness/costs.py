"""Counts what an operation costs: transactions, statements, JSON, thread hops. No clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import attrs

from synapse_lite.util import json
from synapse_lite.util.threads import InlineThreads

from .homeserver import Server


@attrs.define
class Costs:
    """What was done meanwhile. JSON and threads are those of all servers of the test together.

    `thread_hops` are trips to a thread and back: one for each transaction, and other work.
    """

    transactions: int = 0
    statements: int = 0
    encodings: int = 0
    decodings: int = 0
    thread_hops: int = 0

    @property
    def database(self) -> tuple[int, int]:
        """Transactions and statements."""
        return self.transactions, self.statements


@contextmanager
def costs_of(*servers: Server) -> Iterator[Costs]:
    """Count in these servers; the result is complete at the end of the block."""
    costs = Costs()
    before = [attrs.astuple(server.db.counts) for server in servers]
    with _counted_json(costs), _counted_threads(costs):
        yield costs
    for server, (transactions, statements, *_) in zip(servers, before, strict=True):
        costs.transactions += server.db.counts.transactions - transactions
        costs.statements += server.db.counts.statements - statements
    costs.thread_hops += costs.transactions


@contextmanager
def _counted_json(costs: Costs) -> Iterator[None]:
    def encoding() -> None:
        costs.encodings += 1

    def decoding() -> None:
        costs.decodings += 1

    with (
        mock.patch.object(json, "_encoder", _Counted(json._encoder, encoding)),
        mock.patch.object(json, "_canonical_encoder", _Counted(json._canonical_encoder, encoding)),
        mock.patch.object(json, "_decoder", _Counted(json._decoder, decoding)),
    ):
        yield


class _Counted:
    """An encoder or decoder that tells when it is used."""

    def __init__(self, target: Any, count: Callable[[], None]) -> None:
        self._target = target
        self._count = count

    def encode(self, value: Any) -> Any:
        self._count()
        return self._target.encode(value)

    def decode(self, data: Any) -> Any:
        self._count()
        return self._target.decode(data)


@contextmanager
def _counted_threads(costs: Costs) -> Iterator[None]:
    run = InlineThreads.run

    async def counted(self: InlineThreads, fn: Callable[[], Any]) -> Any:
        costs.thread_hops += 1
        return await run(self, fn)

    with mock.patch.object(InlineThreads, "run", counted):
        yield
