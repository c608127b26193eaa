"""Reads of a store whose results are kept: `@cached` and `@cached_list`.

A hit is one dictionary look-up and returns the entry itself, which is an awaitable that is already
done. A read that is going on when its key becomes stale gives its value to those who wait for it,
and the value is not kept. Values are shared by everybody who asks: never change one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from twisted.python.failure import Failure

from ..async_helpers import Outcome
from ..background import start
from .budget import MemoryBudget
from .lru import LruCache
from .missing import MISSING, Missing

__all__ = ["MISSING", "CachedMethod", "CachedRead", "Missing", "cached", "cached_list"]

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

Key = tuple[Any, ...]

DEFAULT_MAX_ENTRIES = 10_000


class _Registry(Protocol):
    budget: MemoryBudget
    factor: float

    def add(self, method: CachedMethod[Any, Any], /) -> None: ...


class _Signature:
    """The arguments of a cached read, without `self`, and which of them are its key."""

    def __init__(self, fn: Callable[..., Any], key: tuple[str, ...] | None) -> None:
        parameters = list(inspect.signature(fn).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(f"{fn.__qualname__}: a cached read has a fixed list of arguments")
        self.what = fn.__qualname__
        self.names = tuple(parameter.name for parameter in parameters)
        self.keyword_only = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.key_names = self.names if key is None else key
        for name in self.key_names:
            if name not in self.names:
                raise TypeError(f"{fn.__qualname__} has no argument {name} to use as its key")
        # A call with exactly this many arguments, all by position, needs no sorting.
        self.simple = len(self.names) if not self.keyword_only else -1

    def key_picker(self) -> Callable[[Key], Key] | None:
        """How to get the key from all arguments; None when they are the key."""
        if self.key_names == self.names:
            return None
        indexes = [self.names.index(name) for name in self.key_names]
        if not indexes:
            return lambda values: ()
        if len(indexes) == 1:
            only = indexes[0]
            return lambda values: (values[only],)
        return itemgetter(*indexes)

    def bind(self, args: Key, kwargs: Mapping[str, Any]) -> Key:
        """All arguments in order, with defaults. Raises TypeError as a call would."""
        values = list(args)
        used = 0
        if len(values) > len(self.names) - len(self.keyword_only):
            raise TypeError(f"{self.what}: too many arguments")
        for name in self.names[len(values) :]:
            if name in kwargs:
                values.append(kwargs[name])
                used += 1
            elif name in self.defaults:
                values.append(self.defaults[name])
            else:
                raise TypeError(f"{self.what}: argument {name} is missing")
        if used != len(kwargs):
            raise TypeError(f"{self.what}: unexpected arguments among {sorted(kwargs)}")
        return tuple(values)


class CachedMethod(Generic[P, T]):
    """A cached read of one store: call and await it like the method.

    Keys are tuples of the key arguments in their order. A key of the wrong length is an error
    (ValueError); for a `tree` cache a shorter one stands for all keys that begin with it.
    """

    def __init__(
        self,
        read: CachedRead[P, T],
        instance: object,
        budget: MemoryBudget,
        max_entries: int,
    ) -> None:
        signature = read.signature
        self.name = read.name
        self.key_names = signature.key_names
        self.tree = read.tree
        self._instance = instance
        self._fn: Callable[..., Awaitable[T]] = read.fn
        self._signature = signature
        self._simple = signature.simple
        self._pick_key = signature.key_picker()
        self._budget = budget
        self._branches: dict[Key, set[Key]] = {}
        # The reads under way that will be kept: making one stale is taking it out.
        self._fills: dict[Key, Outcome[T]] = {}
        self._lru: LruCache[Key, T] = LruCache(
            read.name,
            max_entries=max_entries,
            size_of=read.size_of,
            budget=budget,
            on_drop=self._forget_branches if self._has_branches else None,
        )
        self._find = self._lru.entries.get

    @property
    def _has_branches(self) -> bool:
        return self.tree and len(self.key_names) > 1

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """The value for these arguments: from the cache, or from the read, shared if it runs."""
        values: Key = args
        if kwargs or len(args) != self._simple:
            values = self._signature.bind(args, kwargs)
        key = values if self._pick_key is None else self._pick_key(values)
        entry = self._find(key)
        if entry is not None:
            self._lru.hits += 1
            entry.used = self._budget.tick
            return entry
        self._lru.misses += 1
        return self._fills.get(key) or self._fill(key, values)

    def _fill(self, key: Key, values: Key) -> Outcome[T]:
        fill = self._fills[key] = Outcome()
        reading = start(self._read(values))
        reading.addCallback(self._filled, key, fill).addErrback(self._fill_failed, key, fill)
        return fill

    async def _read(self, values: Key) -> T:
        names = self._signature.keyword_only
        if not names:
            return await self._fn(self._instance, *values)
        positional = len(values) - len(names)
        by_name = dict(zip(names, values[positional:], strict=True))
        return await self._fn(self._instance, *values[:positional], **by_name)

    def _filled(self, value: T, key: Key, fill: Outcome[T]) -> None:
        if self._fills.get(key) is fill:
            del self._fills[key]
            self._keep(key, value)
        fill.resolve(value)

    def _fill_failed(self, failure: Failure, key: Key, fill: Outcome[T]) -> None:
        if self._fills.get(key) is fill:
            del self._fills[key]
        if not fill.is_done:
            fill.fail(failure)

    def _keep(self, key: Key, value: T) -> None:
        if self._has_branches and key not in self._lru:
            for length in range(1, len(key)):
                self._branches.setdefault(key[:length], set()).add(key)
        self._lru.set(key, value)

    def _forget_branches(self, key: Key) -> None:
        for length in range(1, len(key)):
            keys = self._branches[key[:length]]
            keys.discard(key)
            if not keys:
                del self._branches[key[:length]]

    def invalidate(self, key: Key) -> None:
        """Forget what is known for a key. A read under way for it will not be kept."""
        if self._is_whole(key):
            self._fills.pop(key, None)
            self._lru.pop(key)
        elif not key:
            self.invalidate_all()
        else:
            for filling in [each for each in self._fills if each[: len(key)] == key]:
                del self._fills[filling]
            for kept in tuple(self._branches.get(key, ())):
                self._lru.pop(kept)

    def invalidate_all(self) -> None:
        """Forget everything. Reads under way will not be kept."""
        self._fills.clear()
        self._lru.clear()

    def prefill(self, key: Key, value: T) -> None:
        """Keep a value that is known without reading."""
        self._check_whole(key)
        self._fills.pop(key, None)
        self._keep(key, value)

    def peek(self, key: Key) -> T | Missing:
        """The value that is kept, or MISSING; never reads."""
        self._check_whole(key)
        return self._lru.peek(key)

    def update(self, key: Key, fn: Callable[[T], T]) -> None:
        """Replace a value that is kept by `fn(old)`; nothing if there is none.

        A read under way for it will not be kept. When `fn` fails, the value is forgotten and the
        failure raised.
        """
        self._check_whole(key)
        self._fills.pop(key, None)
        old = self._lru.peek(key)
        if old is MISSING:
            return
        try:
            new = fn(old)
        except BaseException:
            self._lru.pop(key)
            raise
        self._lru.set(key, new)

    def __len__(self) -> int:
        return len(self._lru)

    async def read_many(
        self, keys: Iterable[Key], read: Callable[[list[Key]], Awaitable[Mapping[Key, T]]]
    ) -> dict[Key, T]:
        """The values of several keys; `read` is called once with those neither kept nor being read.

        It answers with a value for each. The work of `cached_list`.
        """
        found: dict[Key, T] = {}
        awaited: dict[Key, Outcome[T]] = {}
        missing: list[Key] = []
        for key in dict.fromkeys(keys):
            value = self._lru.get(key)
            if value is not MISSING:
                found[key] = value
            elif key in self._fills:
                awaited[key] = self._fills[key]
            else:
                missing.append(key)
                awaited[key] = self._fills[key] = Outcome()
        if missing:
            fills = {key: awaited[key] for key in missing}
            reading = start(read(missing)).addCallback(self._filled_many, fills)
            reading.addErrback(self._fills_failed, fills)
        for key, fill in awaited.items():
            found[key] = await fill
        return found

    def _filled_many(self, values: Mapping[Key, T], fills: dict[Key, Outcome[T]]) -> None:
        for key, fill in fills.items():
            self._filled(values[key], key, fill)

    def _fills_failed(self, failure: Failure, fills: dict[Key, Outcome[T]]) -> None:
        for key, fill in fills.items():
            self._fill_failed(failure, key, fill)

    def _is_whole(self, key: Key) -> bool:
        if self.tree and isinstance(key, tuple) and len(key) < len(self.key_names):
            return False
        self._check_whole(key)
        return True

    def _check_whole(self, key: Key) -> None:
        if not isinstance(key, tuple):
            raise TypeError(f"The key of {self.name} is a tuple {self.key_names}, not {key!r}")
        if len(key) != len(self.key_names):
            raise ValueError(f"The key of {self.name} is {self.key_names}, not {key!r}")


class CachedRead(Generic[P, T]):
    """What `@cached` puts into a class: gives each instance its own CachedMethod.

    The instance has a CacheRegistry as `caches`. Not for `super()`: an overriding read has a cache
    of its own, and calls what it overrides under another name.
    """

    def __init__(
        self,
        fn: Callable[Concatenate[Any, P], Awaitable[T]],
        key: tuple[str, ...] | None,
        max_entries: int,
        tree: bool,
        size_of: Callable[[T], int] | None,
    ) -> None:
        self.fn = fn
        self.name = fn.__name__
        self.signature = _Signature(fn, key)
        self.key_names = self.signature.key_names
        self.max_entries = max_entries
        self.tree = tree
        self.size_of = size_of
        self.__doc__ = fn.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        if name != self.name:
            raise TypeError(f"The cached read {self.name} must not be called {name}")

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> CachedMethod[P, T]: ...

    def __get__(self, instance: Any, owner: type) -> Self | CachedMethod[P, T]:
        if instance is None:
            return self
        registry: _Registry = instance.caches
        max_entries = max(1, int(self.max_entries * registry.factor))
        method = CachedMethod(self, instance, registry.budget, max_entries)
        registry.add(method)
        # Found before this descriptor from now on, as it has no __set__.
        instance.__dict__[self.name] = method
        return method


def cached(
    *,
    key: tuple[str, ...] | None = None,
    max_entries: int = DEFAULT_MAX_ENTRIES,
    tree: bool = False,
    size_of: Callable[[Any], int] | None = None,
) -> Callable[[Callable[Concatenate[Any, P], Awaitable[T]]], CachedRead[P, T]]:
    """Keep the results of an async read of a store.

    `key` names the arguments that make the key, in order; None means all. Calls that differ in
    other arguments only share one result. `tree` allows `invalidate` with the beginning of a key.
    `size_of` weighs a value in bytes.
    """

    def decorate(fn: Callable[Concatenate[Any, P], Awaitable[T]]) -> CachedRead[P, T]:
        return CachedRead(fn, key, max_entries, tree, size_of)

    return decorate


def cached_list(
    *, cached_method_name: str, list_name: str
) -> Callable[
    [Callable[Concatenate[Any, P], Awaitable[Mapping[K, V]]]],
    Callable[Concatenate[Any, P], Coroutine[Any, Any, dict[K, V]]],
]:
    """The list form of a cached read: `get_xs(ids) -> {id: x}` beside `get_x(id) -> x`.

    It answers from the cache of `cached_method_name`, and is called once with what is missing
    there, as a list without duplicates, in the argument `list_name`. Its other arguments have the
    names that they have in the key of the single read. What its answer leaves out is cached as
    None; what is None is left out of the answer.
    """

    def decorate(
        fn: Callable[Concatenate[Any, P], Awaitable[Mapping[K, V]]],
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, dict[K, V]]]:
        signature = _Signature(fn, None)
        if signature.keyword_only or list_name not in signature.names:
            raise TypeError(f"{signature.what}: {list_name} must be an ordinary argument")
        at = signature.names.index(list_name)

        @functools.wraps(fn)
        async def get_many(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> dict[K, V]:
            single: CachedMethod[..., V | None] = getattr(self, cached_method_name)
            values = signature.bind(args, kwargs)
            fixed = dict(zip(signature.names, values, strict=True))
            items: dict[Key, K] = {
                key: item
                for item, key in _keys_of(signature, single.key_names, fixed, fixed.pop(list_name))
            }
            many: Callable[..., Awaitable[Mapping[K, V]]] = fn

            async def read(keys: list[Key]) -> dict[Key, V | None]:
                wanted = [items[key] for key in keys]
                answer = await many(self, *values[:at], wanted, *values[at + 1 :])
                return {key: answer.get(items[key]) for key in keys}

            found = await single.read_many(items, read)
            return {items[key]: value for key, value in found.items() if value is not None}

        return get_many

    return decorate


def _keys_of(
    signature: _Signature, key_names: tuple[str, ...], fixed: dict[str, Any], items: Iterable[K]
) -> Iterator[tuple[K, Key]]:
    """Each item of a list form with its key in the single read."""
    varying = [index for index, name in enumerate(key_names) if name not in fixed]
    if len(varying) != 1 or len(fixed) != len(key_names) - 1:
        raise TypeError(f"{signature.what} does not fit the key {key_names} of its single read")
    before = tuple(fixed[name] for name in key_names[: varying[0]])
    after = tuple(fixed[name] for name in key_names[varying[0] + 1 :])
    for item in items:
        yield item, (*before, item, *after)
