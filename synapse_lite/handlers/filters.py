"""Filters that clients upload once and name afterwards (client-server API, "Filtering")."""

from __future__ import annotations

from ..api.errors import InvalidParamError, NotFoundError, NotJsonError
from ..server import Homeserver
from ..storage.filters import FiltersStore, FiltersWorkerStore
from ..sync.filter import DEFAULT_FILTER, Filter, compile_filter
from ..util.caches.lru import LruCache
from ..util.caches.missing import Missing
from ..util.json import JsonDict, JsonError, decode_json

_COMPILED_BYTES = 8 * 1024 * 1024
_MAX_ID_DIGITS = 9


class FiltersHandler:
    """Reads and compiles filters, in any process."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(FiltersWorkerStore)
        self._compiled: LruCache[str | tuple[str, str], Filter] = LruCache(
            "compiled_filters",
            max_bytes=_COMPILED_BYTES,
            size_of=lambda compiled: 2000 + 8 * len(compiled.key),
            budget=self._store.caches.budget,
        )

    async def get(self, user_id: str, filter_id: str) -> JsonDict:
        """The definition that the user has uploaded. Raises NotFoundError."""
        if not (filter_id.isascii() and filter_id.isdigit() and len(filter_id) <= _MAX_ID_DIGITS):
            raise NotFoundError("There is no such filter")
        return await self._store.get_user_filter(user_id, int(filter_id))

    async def compiled(self, user_id: str, text: str | None) -> Filter:
        """The filter that a request names, or holds as JSON; None: the one that wants everything.

        Raises NotJsonError, BadJsonError, and InvalidParamError also for an unknown id.
        """
        if text is None:
            return DEFAULT_FILTER
        # A definition in the request says the same for everybody, an id does not.
        key = text if text.startswith("{") else (user_id, text)
        known = self._compiled.get(key)
        if not isinstance(known, Missing):
            return known
        compiled = compile_filter(await self._definition(user_id, text))
        self._compiled.set(key, compiled)
        return compiled

    async def _definition(self, user_id: str, text: str) -> JsonDict:
        if not text.startswith("{"):
            try:
                return await self.get(user_id, text)
            except NotFoundError as error:
                raise InvalidParamError("There is no such filter") from error
        try:
            definition: JsonDict = decode_json(text)
        except JsonError as error:
            raise NotJsonError(f"Query parameter filter: {error}") from error
        return definition


class FilterUploads:
    """Takes filters, in the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(FiltersStore)

    async def add(self, user_id: str, definition: JsonDict) -> str:
        """Keep a filter and return its id. Raises BadJsonError and InvalidParamError."""
        compile_filter(definition)
        return str(await self._store.add_user_filter(user_id, definition))
