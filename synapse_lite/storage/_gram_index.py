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

from ..util.folding import GRAM, grams, grams_of_part
from .engines._base import SQLITE
from .transaction import Transaction

MAX_GRAMS = 64
"""Grams of a query that are looked up; what they do not tell, the text does."""

_MARK = "\ue000"
"""Begins what an index holds beside grams. No folded text has this character."""


def label(text: str) -> str:
    """A word of letters and digits that is found only as a whole, for example where it is from."""
    return _MARK + text


def beginning_label(word: str) -> str:
    """What stands in an index for a word that begins so, for those that are found by beginnings."""
    return label(f"w{word[:GRAM]}")


@attrs.frozen
class Sought:
    """What is looked for: all of these parts of words, and one of the labels if there are any.

    With `at_beginning` words must begin so; the rows must have `beginning_label`s.
    """

    parts: tuple[str, ...]
    labels: tuple[str, ...] = ()
    at_beginning: bool = False

    def lookup(self, txn: Transaction) -> str:
        """The question to the index. Nothing in it is ever read as an operator."""
        whole: list[str] = []
        beginnings: list[str] = []
        for part in self.parts:
            found, beginning = grams_of_part(part)
            if self.at_beginning:
                (beginnings if len(part) < GRAM else whole).append(beginning_label(part))
            elif beginning is not None:
                beginnings.append(beginning)
            whole += found
        conditions = [*dict.fromkeys(whole)][:MAX_GRAMS]
        quote, both, either, prefix = _WORDS[txn.engine.name == SQLITE]
        terms = [f"{quote}{gram}{quote}" for gram in conditions]
        terms += [f"{quote}{gram}{quote}{prefix}" for gram in dict.fromkeys(beginnings)]
        if self.labels:
            terms.append(f"({either.join(f'{quote}{each}{quote}' for each in self.labels)})")
        return both.join(terms)

    def in_text(self, txn: Transaction, column: str) -> tuple[str, list[str]]:
        """The condition that a text has all parts."""
        function = "instr" if txn.engine.name == SQLITE else "strpos"
        space = " " if self.at_beginning else ""
        if self.at_beginning:
            column = f"' ' || {column}"
        condition = " AND ".join([f"{function}({column}, ?) > 0"] * len(self.parts))
        return condition, [space + part for part in self.parts]


_WORDS = {True: ('"', " AND ", " OR ", "*"), False: ("'", " & ", " | ", ":*")}


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
