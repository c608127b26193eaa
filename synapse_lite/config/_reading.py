"""Turns merged YAML into section values, and notes every problem on the way."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from synapse_lite.config import _parsers
from synapse_lite.config._options import Option, is_group, options_of, section_info
from synapse_lite.config._problems import BadValueError, Problem, Source

MAX_SECRET_FILE_SIZE = 64 * 1024


@attrs.frozen
class Entry:
    """A value from YAML and where it stood."""

    value: Any
    source: Source


Entries = Mapping[str, Entry]


@attrs.define
class Reader:
    """Reads sections and groups; `problems` and `warnings` grow as it goes."""

    fallback: Source
    problems: list[Problem] = attrs.Factory(list)
    warnings: list[str] = attrs.Factory(list)

    def problem(self, source: Source, key: str, message: str) -> None:
        self.problems.append(Problem(source.file, key, message))

    def read_section(self, cls: type, top: Entries) -> Any:
        """The section's value, or None if it has problems (which are then noted)."""
        info = section_info(cls)
        before = len(self.problems)
        if info.nested_key is None:
            value = self._read_options(cls, top, info.prefix, info.prefix, top, None, self.fallback)
        else:
            entry = top.get(info.nested_key)
            inner = self._open(info.nested_key, entry) if entry is not None else {}
            prefix = info.nested_key + "."
            source = entry.source if entry is not None else self.fallback
            value = self._read_options(cls, inner, "", prefix, top, None, source)
            self.warn_unknown(inner, known_names(cls, aliases=False), prefix)
        return value if len(self.problems) == before else None

    def warn_unknown(self, entries: Entries, known: Iterable[str], prefix: str = "") -> None:
        """One warning for each key that is not known, with the nearest name that is."""
        names = sorted(known)
        for name, entry in entries.items():
            if name in names:
                continue
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
            hint = f" (did you mean {prefix}{near[0]}?)" if near else ""
            self.warnings.append(
                f"{entry.source.file}: {prefix}{name}: unknown option, ignored{hint}"
            )

    def _open(self, key: str, entry: Entry) -> Entries:
        """The entries inside a mapping."""
        if entry.value is None:
            return {}
        if not isinstance(entry.value, dict):
            self.problem(entry.source, key, "must be a mapping of names to values")
            return {}
        return {str(name): Entry(value, entry.source) for name, value in entry.value.items()}

    def _read_options(
        self,
        cls: type,
        entries: Entries,
        name_prefix: str,
        key_prefix: str,
        alias_entries: Entries,
        base: Any,
        source: Source,
    ) -> Any:
        """Build `cls`. Missing keys take their value from `base` if there is one.

        `name_prefix` leads to the key in `entries`, `key_prefix` to the dotted key for people.
        """
        before = len(self.problems)
        values = {}
        for name, hint, declared in options_of(cls):
            default = declared.default if base is None else getattr(base, name)
            key = key_prefix + name
            entry = entries.get(name_prefix + name)
            if declared.alias is not None and (entry is None or entry.value is None):
                entry = alias_entries.get(declared.alias)
                key = declared.alias if entry is not None else key
            if declared.from_file:
                entry = self._secret_entry(key, name_prefix + name, entry, entries)
            if entry is not None and entry.value is not None:
                values[name] = self._value(hint, declared, entry, key, default)
            elif declared.required and base is None:
                self.problem(source, key, f"is required: {declared.doc}")
            else:
                values[name] = self._default(declared, default)
        if len(self.problems) != before:
            return None
        if hasattr(cls, "complete"):
            cls.complete(values, source)
        return cls(**values)

    def _default(self, declared: Option, default: Any) -> Any:
        """Paths are relative to the configuration also where they are defaults."""
        if declared.parse is _parsers.path and isinstance(default, str):
            return _parsers.path(default, self.fallback)
        return default

    def _value(self, hint: Any, declared: Option, entry: Entry, key: str, default: Any) -> Any:
        hint = without_none(hint)
        item = tuple_item(hint)
        if item is None:
            item = mapping_item(hint)
            if item is not None:
                return self._mapping(item, declared, entry, key)
            return self._single(hint, declared, entry, key, default)
        items = [entry.value] if isinstance(entry.value, str) else entry.value
        if not isinstance(items, list):
            self.problem(entry.source, key, "must be a list")
            return None
        return tuple(
            self._single(item, declared, Entry(value, entry.source), f"{key}[{index}]", None)
            for index, value in enumerate(items)
        )

    def _mapping(self, hint: Any, declared: Option, entry: Entry, key: str) -> Any:
        return {
            name: self._single(hint, declared, inner, f"{key}.{name}", None)
            for name, inner in self._open(key, entry).items()
        }

    def _single(self, hint: Any, declared: Option, entry: Entry, key: str, default: Any) -> Any:
        if declared.parse is None and is_group(hint):
            before = len(self.problems)
            inner = self._open(key, entry)
            if len(self.problems) != before:
                return None
            self.warn_unknown(inner, known_names(hint), key + ".")
            return self._read_options(hint, inner, "", key + ".", inner, default, entry.source)
        parse = declared.parse or _parsers.parser_of_type(hint)
        try:
            return parse(entry.value, entry.source)
        except BadValueError as error:
            self.problem(entry.source, key, f"must be {error}")
            return None

    def _secret_entry(
        self, key: str, name: str, entry: Entry | None, entries: Entries
    ) -> Entry | None:
        """The entry of a secret, read from the file that `<name>_path` names if that is given."""
        named = entries.get(name + "_path")
        if named is None or named.value is None:
            return entry
        if entry is not None and entry.value is not None:
            self.problem(named.source, key + "_path", f"cannot be given together with {key}")
            return None
        try:
            filename = _parsers.path(named.value, named.source)
            return Entry(_read_secret(filename), named.source)
        except BadValueError as error:
            self.problem(named.source, key + "_path", f"must be {error}")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self.problem(named.source, key + "_path", f"cannot be read: {filename}: {reason}")
        return None


def _read_secret(filename: str) -> str:
    with open(filename, encoding="utf-8") as file:
        secret = file.read(MAX_SECRET_FILE_SIZE).strip()
    if not secret:
        raise BadValueError(f"a file with a secret in it, but {filename} is empty")
    return secret


def top_level_names(cls: type) -> set[str]:
    """The keys of a section that may stand at the top level."""
    info = section_info(cls)
    aliases = {declared.alias for _, _, declared in options_of(cls) if declared.alias is not None}
    if info.nested_key is not None:
        return {info.nested_key} | aliases
    return {info.prefix + name for name in known_names(cls, aliases=False)} | aliases


def known_names(cls: type, *, aliases: bool = True) -> set[str]:
    """The names that may stand in the mapping of a group or section, without any prefix."""
    names = set()
    for name, _, declared in options_of(cls):
        names.add(name)
        if declared.from_file:
            names.add(name + "_path")
        if aliases and declared.alias is not None:
            names.add(declared.alias)
    return names


def without_none(hint: Any) -> Any:
    """`X` of `X | None`; other types, also other unions, unchanged."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return members[0] if len(members) == 1 else hint
    return hint


def mapping_item(hint: Any) -> Any:
    """`X` of `Mapping[str, X]`; None for other types and where X is Any."""
    if typing.get_origin(hint) is not Mapping:
        return None
    item = typing.get_args(hint)[1]
    return None if item is Any else item


def tuple_item(hint: Any) -> Any:
    """`X` of `tuple[X, ...]`, None for other types."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None
