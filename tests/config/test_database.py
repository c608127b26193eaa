"""The database section."""

from __future__ import annotations

from tests.config.helpers import ConfigTestCase, config


class DatabaseTestCase(ConfigTestCase):
    """Engines and their arguments."""

    def test_an_sqlite_file_starts_at_the_folder_of_its_file(self) -> None:
        read = self.read("database: {name: sqlite3, args: {database: data/hs.db}}\n")
        self.assertEqual(read.database.args["database"], self.folder + "/data/hs.db")

    def test_memory_and_uris_are_left_alone(self) -> None:
        for name in (":memory:", "file:x?mode=memory"):
            read = config(database={"name": "sqlite3", "args": {"database": name}})
            self.assertEqual(read.database.args["database"], name)

    def test_postgresql_arguments_are_left_alone(self) -> None:
        args = {"user": "u", "database": "synapse", "cp_min": 1, "cp_max": 3}
        read = config(database={"name": "psycopg2", "args": args})
        self.assertEqual(read.database.args, args)

    def test_unknown_engine(self) -> None:
        self.assert_problem("database: {name: mysql}\n", "database.name", "one of sqlite3")

    def test_sizes_of_the_pool(self) -> None:
        self.assert_problem(
            "database: {name: psycopg2, args: {cp_max: 0}}\n", "database.args.cp_max", "1 or more"
        )

    def test_not_a_mapping(self) -> None:
        self.assert_problem("database: homeserver.db\n", "database", "mapping")
