"""Passwords: hashing, checking, and what a new one must have."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import TypeVar

import bcrypt

from ..api.errors import InvalidParamError, LimitExceededError, WeakPasswordError
from ..config.registration import PasswordPolicy
from ..server import Homeserver
from ..util.async_helpers import Linearizer
from ..util.threads import Threads

T = TypeVar("T")

MAX_PASSWORD_LENGTH = 512

_BCRYPT_BYTES = 72
"""bcrypt looks at no more than this; existing hashes were made of cut passwords."""

_AT_ONCE = 2
"""Hashing is slow on purpose: more than this would take the processors from everything else."""

_MAX_WAITING = 200
_RETRY_AFTER_MS = 2000


class PasswordHandler:
    """Hashes and checks passwords in threads, a few at a time."""

    def __init__(self, hs: Homeserver) -> None:
        self._threads = hs.part(Threads)
        self._pepper = hs.config.password.pepper.encode("utf-8")
        self._rounds = hs.config.registration.bcrypt_rounds
        self._policy = hs.config.password.policy
        self._turns = Linearizer("passwords", _AT_ONCE, hs.clock)
        self._waiting = 0
        # As long to check as a real hash, and no password fits it.
        self._nobody = f"$2b${self._rounds:02d}${'.' * 22}{'.' * 31}".encode("ascii")

    def check_policy(self, password: str) -> None:
        """Raise WeakPasswordError, which names what is wrong, or InvalidParamError."""
        if len(password) > MAX_PASSWORD_LENGTH:
            raise InvalidParamError(f"Passwords have at most {MAX_PASSWORD_LENGTH} characters")
        if not password:
            raise WeakPasswordError("The password must not be empty")
        if self._policy.enabled:
            _check_policy(self._policy, password)

    async def hash(self, password: str) -> str:
        """The hash to store. Raises LimitExceededError when too many wait."""
        secret = self._prepare(password)
        hashed = await self._in_turn(lambda: bcrypt.hashpw(secret, bcrypt.gensalt(self._rounds)))
        return hashed.decode("ascii")

    async def is_right(self, password: str, password_hash: str | None) -> bool:
        """Whether a password fits a hash; takes as long if there is no hash.

        Raises LimitExceededError when too many wait.
        """
        secret = self._prepare(password)
        stored = self._nobody if password_hash is None else password_hash.encode("utf-8")
        fits = await self._in_turn(lambda: bcrypt.checkpw(secret, stored))
        return fits and password_hash is not None

    def _prepare(self, password: str) -> bytes:
        normal = unicodedata.normalize("NFKC", password[:MAX_PASSWORD_LENGTH])
        return (normal.encode("utf-8", "surrogatepass") + self._pepper)[:_BCRYPT_BYTES]

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MAX_WAITING:
            raise LimitExceededError(retry_after_ms=_RETRY_AFTER_MS)
        self._waiting += 1
        try:
            async with self._turns.queue(None):
                return await self._threads.run(work)
        finally:
            self._waiting -= 1


def _check_policy(policy: PasswordPolicy, password: str) -> None:
    if len(password) < policy.minimum_length:
        raise WeakPasswordError(f"The password needs at least {policy.minimum_length} characters")
    demands: tuple[tuple[bool, Callable[[str], bool], str], ...] = (
        (policy.require_digit, str.isdigit, "a digit"),
        (policy.require_symbol, lambda character: not character.isalnum(), "a symbol"),
        (policy.require_lowercase, str.islower, "a lower-case letter"),
        (policy.require_uppercase, str.isupper, "an upper-case letter"),
    )
    for demanded, fits, what in demands:
        if demanded and not any(map(fits, password)):
            raise WeakPasswordError(f"The password needs {what}")
