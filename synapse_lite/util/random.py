"""Random strings of ASCII letters."""

from __future__ import annotations

import random
import secrets
import string


def random_string(length: int) -> str:
    """For names that need to differ and may be guessed."""
    return "".join(random.choices(string.ascii_letters, k=length))


def random_string_secure(length: int) -> str:
    """For what nobody may guess: tokens, nonces, codes. 5.7 bits a letter."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(length))
