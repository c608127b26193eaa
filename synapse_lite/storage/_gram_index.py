"""An index that finds parts of words, the same on both databases (decision 0013).

A table with an index has an integer key and the column `text`, folded by `util.folding`. SQLite
keeps the grams in an FTS5 table without content, `<table>_grams`; PostgreSQL in a tsvector column,
`grams`, below a GIN index. Neither is given any language. The grams only say where to look: whether
a part is really there, the text itself tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import attrs

from ..util.folding import BEGINNING, GRAM, grams, grams_of_part, is_dense
from .engines._base import SQLITE
from .transaction import Transaction

MAX_GRAMS = 64
"""Grams of a query that are looked up; what they do not tell, the text does."""

_MARK = "\ue000"
"""Begins what an index holds beside grams. No folded text has this character."""


def label(text: str) -> str:
    """A word of letters and digits that is found only as a whole, for example where it is from."""
    return _MARK + text


def beginning_labels(text: str) -> set[str]:
    """Labels of a folded text whose words are also looked up by how they begin."""
    return {BEGINNING + word[:length] for word in text.split(" ") for length in range(1, GRAM + 1)}


@attrs.frozen
class Sought:
    """What is looked for: all of these parts of words, and one of the labels if there are any.

    With `at_beginning` words must begin so; the rows must have `beginning_labels`.
    """

    parts: tuple[str, ...]
    labels: tuple[str, ...] = ()
    at_beginning: bool = False

    def lookup(self, txn: Transaction) -> str:
        """The question to the index. Nothing in it is ever read as an operator."""
        quote, both, either = _WORDS[txn.engine.name == SQLITE]
        wanted: dict[tuple[str, ...], None] = {}
        for part in self.parts:
            if self.at_beginning:
                wanted[(BEGINNING + part[:GRAM],)] = None
            if len(part) >= GRAM or not self.at_beginning:
                wanted.update(dict.fromkeys(grams_of_part(part)))
        # Long parts are rare, and lead to fewer rows than short ones.
        chosen = sorted(wanted, key=len)[:MAX_GRAMS]
        if self.labels:
            chosen.append(self.labels)
        return both.join(
            f"({either.join(f'{quote}{word}{quote}' for word in words)})" for words in chosen
        )

    def in_text(self, txn: Transaction, column: str) -> tuple[str, list[str]]:
        """The condition that a text has all parts; see `util.folding.has_part`."""
        function = "instr" if txn.engine.name == SQLITE else "strpos"
        bounded = f"{function}(' ' || {column} || ' ', ?) > 0"
        conditions: list[str] = []
        args: list[str] = []
        for part in self.parts:
            if self.at_beginning:
                conditions.append(bounded)
                args.append(f" {part}")
            elif len(part) >= GRAM or is_dense(part):
                conditions.append(f"{function}({column}, ?) > 0")
                args.append(part)
            else:
                conditions.append(f"({bounded} OR {bounded})")
                args += (f" {part}", f"{part} ")
        return " AND ".join(conditions), args


_WORDS = {True: ('"', " AND ", " OR "), False: ("'", " & ", " | ")}


@attrs.frozen
class Indexed:
    """A row of a table with an index: its key, its text and its labels."""

    key: int
    text: str
    labels: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """What the index holds of it."""
        return [*sorted(grams(self.text)), *self.labels]


@attrs.frozen
class GramIndex:
    """The index of a table. `columns` are those beside key, text and grams."""

    table: str
    key: str
    columns: tuple[str, ...] = ()

    def insert_txn(self, txn: Transaction, rows: Iterable[tuple[Indexed, Sequence[Any]]]) -> None:
        """Add rows, each with the values of `columns`."""
        listed = list(rows)
        names = (self.key, "text", *self.columns)
        if txn.engine.name == SQLITE:
            txn.insert_many(self.table, names, [(r.key, r.text, *more) for r, more in listed])
            txn.insert_many(
                f"{self.table}_grams",
                ("rowid", "grams"),
                [(row.key, " ".join(row.words)) for row, _ in listed],
            )
            return
        txn.insert_many(
            self.table,
            (*names, "grams"),
            [(row.key, row.text, *more, _vector(row.words)) for row, more in listed],
        )

    def delete_txn(self, txn: Transaction, rows: Collection[Indexed]) -> None:
        """Remove rows, given as they were added."""
        if not rows:
            return
        condition, args = txn.in_clause(self.key, [row.key for row in rows])
        txn.execute(f"DELETE FROM {self.table} WHERE {condition}", args)
        if txn.engine.name == SQLITE:
            # The command of FTS5 that takes a row out of an index without content.
            txn.executemany(
                f"INSERT INTO {self.table}_grams ({self.table}_grams, rowid, grams)"
                " VALUES (?, ?, ?)",
                [("delete", row.key, " ".join(row.words)) for row in rows],
            )

    def keys_sql(self, txn: Transaction, sought: Sought) -> tuple[str, list[Any]]:
        """A condition on the key, that the index leads to a row, and its arguments.

        For SQLite it is to stand in a query over `source_sql`.
        """
        if txn.engine.name == SQLITE:
            return f"{self.table}_grams MATCH ?", [sought.lookup(txn)]
        return "grams @@ ?::tsquery", [sought.lookup(txn)]

    def source(self, txn: Transaction) -> tuple[str, str]:
        """The table that `keys_sql` is asked of, and its column with the key."""
        if txn.engine.name == SQLITE:
            return f"{self.table}_grams", "rowid"
        return self.table, self.key


def _vector(words: Iterable[str]) -> str:
    return " ".join(f"'{word}'" for word in words)
