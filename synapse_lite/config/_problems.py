"""What can be wrong with a configuration, and the error that reports all of it at once."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


class BadValueError(ValueError):
    """A parser does not accept a value. The message completes "<key> must be …"."""


@attrs.frozen
class Source:
    """Where a key was read: the file, and the folder against which its paths are resolved."""

    file: str
    folder: str


@attrs.frozen
class Problem:
    """One fault: the file, the dotted key, and what is expected there."""

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.key}: {self.message}"
            if self.key
            else (f"{self.file}: {self.message}")
        )


class ConfigError(Exception):
    """The configuration cannot be used. `problems` holds every fault that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
