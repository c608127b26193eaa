from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.replication import commands
from synapse_lite.replication.commands import (
    COMMANDS,
    Command,
    CommandError,
    Side,
    commands_sent_by,
)
from synapse_lite.replication.master_connection import MasterConnection
from synapse_lite.replication.worker_connection import WorkerConnection

EXAMPLES: list[tuple[Command, str]] = [
    (commands.Server("example.com"), "SERVER example.com"),
    (commands.Version(1), "VERSION 1"),
    (commands.Challenge("abc"), "CHALLENGE abc"),
    (commands.Auth("worker1", "00ff"), "AUTH worker1 00ff"),
    (commands.Name("worker1"), "NAME worker1"),
    (commands.Replicate("events", 5), "REPLICATE events 5"),
    (commands.Replicate("events", None), "REPLICATE events NOW"),
    (commands.Replicate("ALL", None), "REPLICATE ALL NOW"),
    (commands.CatchUp("events", 7), "CATCHUP events 7"),
    (commands.Position("events", 7), "POSITION events 7"),
    (commands.RowData("events", 7, ["a b", None, 1]), 'RDATA events 7 ["a b",null,1]'),
    (commands.RowData("events", None, []), "RDATA events batch []"),
    (
        commands.Restart("typing", 4294967296, commands.RestartReason.EPOCH),
        "RESTART typing 4294967296 epoch",
    ),
    (commands.Error("it's 100% broken"), "ERROR it's 100% broken"),
    (commands.Ping("17"), "PING 17"),
    (commands.Ping(""), "PING "),
    (commands.Ping("häh ☃"), "PING häh ☃"),
    (commands.Sync("a barrier"), "SYNC a barrier"),
    (commands.UserSync("@a:b", True, 12), "USER_SYNC @a:b start 12"),
    (commands.UserSync("@a:b", False, 12), "USER_SYNC @a:b end 12"),
    (commands.UserSync("@a:b", True, 12, "online"), "USER_SYNC @a:b start 12 online"),
    (commands.UserSync("@a:b", True, 12, "unavailable"), "USER_SYNC @a:b start 12 unavailable"),
    (commands.FederationAck(9), "FEDERATION_ACK 9"),
    (
        commands.RemovePusher("an app", "a key\nof two lines", "@a:b"),
        'REMOVE_PUSHER ["an app","a key\\nof two lines","@a:b"]',
    ),
    (
        commands.InvalidateCache("get_x", ("a", 1, None)),
        'INVALIDATE_CACHE get_x ["a",1,null]',
    ),
    (commands.InvalidateCache("get_x", None), "INVALIDATE_CACHE get_x null"),
    (
        commands.UserIp("@a:b", 3, "::1", "An Agent 1.0", None, 17),
        'USER_IP @a:b [3,"::1","An Agent 1.0",null,17]',
    ),
]

MALFORMED = [
    "VERSION one",
    "VERSION -1",
    "VERSION 1 1",
    "AUTH worker1",
    "REPLICATE events",
    "REPLICATE events five",
    "REPLICATE events -5",
    "REPLICATE ALL 5",
    "REPLICATE  5",
    "POSITION events",
    "POSITION events NOW",
    "POSITION events ²",
    "RDATA events 1",
    "RDATA events x []",
    "RDATA events 1 {}",
    "RDATA events 1 [",
    "RESTART events 1 whim",
    "USER_SYNC @a:b stop 12",
    "USER_SYNC @a:b start",
    "USER_SYNC @a:b start x",
    "USER_SYNC @a:b start 12 offline",
    "USER_SYNC @a:b start 12 online now",
    "FEDERATION_ACK x",
    "FEDERATION_ACK 99999999999999999999",
    "REMOVE_PUSHER app key @a:b",
    'REMOVE_PUSHER ["app","key"]',
    'REMOVE_PUSHER ["app","key",1]',
    "INVALIDATE_CACHE get_x",
    "INVALIDATE_CACHE get_x [[1]]",
    "INVALIDATE_CACHE get_x {}",
    'USER_IP @a:b ["secret","::1","agent",null,17]',
    'USER_IP @a:b [3,"::1","agent",null,true]',
    "USER_IP @a:b " + "[" * 5000,
]


class CommandTests(TestCase):
    def test_lines_have_the_documented_form(self) -> None:
        for command, line in EXAMPLES:
            self.assertEqual(command.to_line(), line)

    def test_lines_are_read_back(self) -> None:
        for command, line in EXAMPLES:
            _, _, payload = line.partition(" ")
            self.assertEqual(type(command).from_line(payload), command)

    def test_every_command_has_an_example(self) -> None:
        self.assertEqual({type(command) for command, _ in EXAMPLES}, set(COMMANDS))

    def test_malformed_payloads_are_refused(self) -> None:
        classes = {command.NAME: command for command in COMMANDS}
        for line in MALFORMED:
            word, _, payload = line.partition(" ")
            with self.assertRaises(CommandError, msg=line):
                classes[word].from_line(payload)

    def test_a_newline_is_refused_before_anything_is_written(self) -> None:
        for command in (
            commands.Name("two\nlines"),
            commands.Sync("two\nlines"),
            commands.UserSync("@a\n:b", True, 1),
        ):
            with self.assertRaises(CommandError):
                command.to_line()

    def test_only_the_last_field_may_hold_spaces(self) -> None:
        for command in (
            commands.UserSync("@a b:c", True, 1),
            commands.Auth("a worker", "00"),
            commands.InvalidateCache("", ()),
        ):
            with self.assertRaises(CommandError):
                command.to_line()

    def test_a_newline_in_a_row_stays_on_its_line(self) -> None:
        line = commands.RowData("receipts", 1, ["a\nb"]).to_line()
        self.assertNotIn("\n", line)

    def test_an_error_is_one_line_of_limited_length(self) -> None:
        line = commands.Error("100%s\nof it\r\n" + "x" * 10_000).to_line()
        self.assertTrue(line.startswith("ERROR 100%s of it x"))
        self.assertLess(len(line), 600)

    def test_the_proof_of_the_secret_is_not_shown(self) -> None:
        self.assertNotIn("00ff", repr(commands.Auth("worker1", "00ff")))

    def test_a_side_is_told_only_what_the_other_may_send(self) -> None:
        self.assertNotIn("RDATA", commands_sent_by(Side.WORKER))
        self.assertNotIn("USER_IP", commands_sent_by(Side.MASTER))
        self.assertIn("PING", commands_sent_by(Side.WORKER))
        self.assertIn("PING", commands_sent_by(Side.MASTER))

    def test_every_command_has_a_handler_on_the_other_side(self) -> None:
        for side, receiver in ((Side.MASTER, WorkerConnection), (Side.WORKER, MasterConnection)):
            for name in commands_sent_by(side):
                self.assertTrue(callable(getattr(receiver, f"on_{name.lower()}", None)), name)
