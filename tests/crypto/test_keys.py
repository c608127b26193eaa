"""Keys and the signing key file."""

from __future__ import annotations

import io

import signedjson.key
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.crypto.keys import (
    KeyFormatError,
    SignatureError,
    SigningKey,
    decode_verify_key,
    generate_signing_key,
    read_signing_keys,
    write_signing_key,
)


class KeyFileTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        key = generate_signing_key("a_1")
        (again,) = read_signing_keys(write_signing_key(key))
        self.assertEqual(again.key_id, "ed25519:a_1")
        self.assertEqual(again.verify_key, key.verify_key)

    def test_signedjson_reads_what_we_write_and_the_other_way(self) -> None:
        key = generate_signing_key("x")
        (theirs,) = signedjson.key.read_signing_keys(io.StringIO(write_signing_key(key)))
        self.assertEqual(theirs.sign(b"m").signature, key.sign(b"m"))
        theirs = signedjson.key.generate_signing_key("y")
        stream = io.StringIO()
        signedjson.key.write_signing_keys(stream, [theirs])
        (ours,) = read_signing_keys(stream.getvalue())
        self.assertEqual(ours.key_id, "ed25519:y")
        self.assertEqual(ours.sign(b"m"), theirs.sign(b"m").signature)

    def test_several_keys_in_order(self) -> None:
        keys = [generate_signing_key("first"), generate_signing_key("second")]
        text = "# keys\n\n" + "".join(map(write_signing_key, keys))
        self.assertEqual(
            [key.key_id for key in read_signing_keys(text)], ["ed25519:first", "ed25519:second"]
        )

    def test_malformed_lines_are_named_without_their_text(self) -> None:
        good = write_signing_key(generate_signing_key("k"))
        for line in ("rsa k SECRET", "ed25519 k", "ed25519 k SECRET", "ed25519 k?: " + "A" * 43):
            error = self.assertRaises(KeyFormatError, read_signing_keys, good + line)
            self.assertIn("Line 2", str(error))
            self.assertNotIn("SECRET", str(error))

    def test_secrets_are_not_shown(self) -> None:
        key = generate_signing_key("k")
        self.assertNotIn(key.seed_base64(), repr(key))


class VerifyKeyTests(SynchronousTestCase):
    def test_encoding(self) -> None:
        key = SigningKey("k", b"s" * 32)
        again = decode_verify_key("ed25519:k", key.verify_key.encode())
        self.assertEqual(again, key.verify_key)
        self.assertEqual(hash(again), hash(key.verify_key))
        self.assertNotEqual(again, decode_verify_key("ed25519:l", key.verify_key.encode()))

    def test_verifying(self) -> None:
        key = generate_signing_key("k")
        signature = key.sign(b"message")
        key.verify_key.verify(b"message", signature)
        for message, wrong in (
            (b"other", signature),
            (b"message", b"\0" * 64),
            (b"message", signature[:-1]),
            (b"message", b""),
        ):
            self.assertRaises(SignatureError, key.verify_key.verify, message, wrong)

    def test_malformed(self) -> None:
        encoded = generate_signing_key("k").verify_key.encode()
        for key_id, text in (
            ("rsa:k", encoded),
            ("ed25519", encoded),
            ("ed25519:k", encoded[:-4]),
            ("ed25519:k", "?"),
        ):
            self.assertRaises(KeyFormatError, decode_verify_key, key_id, text)
