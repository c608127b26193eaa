"""Checks that streams and a complete store fit together; run when the master starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..streams import Query, Stream
from ..util.caches.cached import CachedRead
from ._base import BaseStore, declared


class DeclarationError(Exception):
    """A stream names something that the store does not have; the message lists all of it."""


def check_declarations(store: type[BaseStore], streams: Iterable[Stream]) -> None:
    """Raise DeclarationError unless the store has what the streams name.

    Stores of workers are partial: there a missing read is simply absent.
    """
    problems = [problem for stream in streams for problem in _problems(store, stream)]
    problems += [
        f"{cls.__name__}.handles names {method}, which {store.__name__} does not have"
        for cls in store.__mro__
        for _, method in (*cls.__dict__.get("handles", ()), *cls.__dict__.get("resets", ()))
        if not callable(getattr(store, method, None))
    ]
    if problems:
        raise DeclarationError("; ".join(problems))


def _problems(store: type[BaseStore], stream: Stream) -> Iterator[str]:
    for name, fields in stream.stale.items():
        read = getattr(store, name, None)
        if not isinstance(read, CachedRead):
            yield f"{stream.name} makes {name} stale, which is no cached read"
        elif len(fields) > len(read.key_names) or (
            len(fields) < len(read.key_names) and not read.tree
        ):
            yield f"{stream.name}: the key of {name} is {read.key_names}, not {fields}"
    if isinstance(stream.rows, Query) and not callable(getattr(store, stream.rows.method, None)):
        yield f"{stream.name} reads its rows by {stream.rows.method}, which does not exist"


def followed_by(store: type[BaseStore], streams: Iterable[Stream]) -> tuple[Stream, ...]:
    """The streams that concern a kind of store, as its instances compute it."""
    wanted = set(declared(store, "streams"))
    wanted.update(stream for stream, _ in declared(store, "handles"))
    return tuple(
        stream
        for stream in streams
        if stream in wanted or any(hasattr(store, name) for name in stream.stale)
    )
