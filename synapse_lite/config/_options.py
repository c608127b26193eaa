"""How options are declared: one frozen class for each section, one `option()` for each key.

A declaration is all there is: reading, checks, the sample file and the reference are derived.
Defaults are given by keyword, because type checkers find them only there.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs

from synapse_lite.config._problems import Source

T = TypeVar("T")

Parser = Callable[[Any, Source], Any]
"""Turns a value from YAML into the option's type, or raises BadValueError."""

REQUIRED: Any = object()
"""The default of an option that has none."""

_METADATA_KEY = "synapse_lite.option"


@attrs.frozen(eq=False)
class Option:
    """What is declared about one key."""

    doc: str
    default: Any
    example: Any
    parse: Parser | None
    secret: bool
    from_file: bool
    alias: str | None
    shown_default: str | None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def option(
    *,
    default: Any = REQUIRED,
    doc: str,
    example: Any = None,
    parse: Parser | None = None,
    secret: bool = False,
    from_file: bool | None = None,
    alias: str | None = None,
    shown_default: str | None = None,
) -> Any:
    """Declare one key of a section or group.

    `parse` turns the value (each item, if the type is a tuple) into the declared type; without it
    the type decides. A `secret` stays out of `repr`, and unless `from_file` is false the key with
    `_path` appended names a file that holds it. `alias` is an older name of the key.
    `shown_default` stands in the documentation where the default itself is long or computed.
    """
    if not doc.strip():
        raise TypeError("An option needs a doc")
    declared = Option(
        doc=doc,
        default=default,
        example=example,
        parse=parse,
        secret=secret,
        from_file=secret if from_file is None else from_file,
        alias=alias,
        shown_default=shown_default,
    )
    return attrs.field(
        default=attrs.NOTHING if default is REQUIRED else default,
        repr=not secret,
        metadata={_METADATA_KEY: declared},
    )


@attrs.frozen
class SectionInfo:
    """Where a section's keys stand: after a prefix at the top level, or inside one mapping."""

    title: str
    doc: str
    prefix: str
    nested_key: str | None

    def key(self, name: str) -> str:
        """The dotted key of the option with this attribute name."""
        if self.nested_key is not None:
            return f"{self.nested_key}.{name}"
        return self.prefix + name


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
def section(
    prefix: str = "", *, title: str, nested: str | None = None
) -> Callable[[type[T]], type[T]]:
    """Make a class a section whose keys are `prefix` + attribute name, or lie inside `nested`.

    The class's docstring becomes the introduction of the section. A method `check(self)` may
    yield pairs of dotted key and message.
    """

    def decorate(cls: type[T]) -> type[T]:
        info = SectionInfo(title=title, doc=cls.__doc__ or "", prefix=prefix, nested_key=nested)
        declared = _freeze(cls)
        declared.__section__ = info  # type: ignore[attr-defined]  # read by section_info
        return declared

    return decorate


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
def group(cls: type[T]) -> type[T]:
    """Make a class a mapping inside a section; options may have it, or tuples of it, as type."""
    return _freeze(cls)


def _freeze(cls: type[T]) -> type[T]:
    undeclared = [
        name
        for name in inspect.get_annotations(cls)
        if not hasattr(cls.__dict__.get(name), "metadata")
    ]
    if undeclared:
        raise TypeError(f"{cls.__name__}.{undeclared[0]} is not declared with option()")
    return attrs.frozen(kw_only=True)(cls)


def section_info(cls: type) -> SectionInfo:
    """The declaration that `@section` made."""
    info = cls.__section__  # type: ignore[attr-defined]  # set by section()
    assert isinstance(info, SectionInfo)
    return info


def options_of(cls: type) -> Iterator[tuple[str, Any, Option]]:
    """Attribute name, type and declaration of each option of a section or group."""
    hints = typing.get_type_hints(cls)
    for field in attrs.fields(cls):
        yield field.name, hints[field.name], field.metadata[_METADATA_KEY]


def is_group(hint: object) -> bool:
    """Whether a type is a class made by `@group` (or `@section`)."""
    return (
        isinstance(hint, type)
        and attrs.has(hint)
        and all(_METADATA_KEY in field.metadata for field in attrs.fields(hint))
    )
