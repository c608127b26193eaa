"""Hashes, signatures and ids against the vectors of the specification and signedjson."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import canonicaljson
import signedjson.key
import signedjson.sign
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.crypto.base64 import decode_base64, encode_base64
from synapse_lite.crypto.keys import SignatureError, SigningKey, generate_signing_key
from synapse_lite.events.builder import EventReference, build_event
from synapse_lite.events.hashing import (
    add_hashes_and_signatures,
    check_content_hash,
    event_id_of,
    reference_hash,
    signed_bytes,
    verify_event_signature,
)
from synapse_lite.events.redaction import redact_pdu
from synapse_lite.events.room_versions import ROOM_VERSIONS

from .support import ALL_VERSIONS, KEY

VECTORS = json.loads(
    (Path(__file__).parent.parent / "data" / "signing_vectors.json").read_text("utf-8")
)

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_types = st.sampled_from(
    ("m.room.message", "m.room.member", "m.room.create", "m.room.power_levels", "m.room.redaction")
)


def build(version, event_type="m.room.message", content=None, state_key=None):
    return build_event(
        room_version=version,
        room_id="!r:one",
        sender="@a:one",
        type=event_type,
        content=content or {},
        state_key=state_key,
        prev_events=[EventReference("$p:one", {"sha256": "x"})],
        auth_events=[],
        depth=3,
        origin_server_ts=1000,
        server_name="one",
        signing_key=KEY,
        event_id_localpart="abc",
    )


class VectorTests(SynchronousTestCase):
    def test_signing(self) -> None:
        key = SigningKey("1", decode_base64(VECTORS["signing_key"]["seed_base64"]))
        for vector in VECTORS["event_signing"]:
            pdu = dict(vector["input"])
            add_hashes_and_signatures(pdu, ROOM_VERSIONS["1"], "domain", key)
            self.assertEqual(pdu, vector["signed"])
            self.assertTrue(check_content_hash(pdu))
            verify_event_signature(pdu, ROOM_VERSIONS["1"], "domain", key.verify_key)
            expected = {**vector["derived"]["redacted"]}
            expected["signatures"] = pdu["signatures"]
            self.assertEqual(redact_pdu(pdu, ROOM_VERSIONS["1"]), expected)

    def test_event_ids(self) -> None:
        for vector in VECTORS["derived_event_ids"]:
            first, _, last = vector["room_versions"].partition("-")
            for identifier in range(int(first), int(last or first) + 1):
                version = ROOM_VERSIONS[str(identifier)]
                self.assertEqual(event_id_of(vector["event"], version), vector["event_id"])
                self.assertEqual(
                    signed_bytes(vector["event"], version),
                    vector["reference_hash_bytes_utf8"].encode(),
                )


class SignatureTests(SynchronousTestCase):
    judge = signedjson.key.decode_signing_key_base64("ed25519", "1", KEY.seed_base64())

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(_types, st.dictionaries(_text, _values, max_size=4), st.sampled_from(ALL_VERSIONS))
    def test_signedjson_agrees(self, event_type, content, version) -> None:
        event = build(version, event_type, content)
        redacted = redact_pdu(event.pdu, version)
        signedjson.sign.verify_signed_json(
            redacted, "one", signedjson.key.get_verify_key(self.judge)
        )
        unsigned = {k: v for k, v in redacted.items() if k != "signatures"}
        self.assertEqual(
            signed_bytes(event.pdu, version), canonicaljson.encode_canonical_json(unsigned)
        )
        hashed = {k: v for k, v in event.pdu.items() if k not in ("signatures", "hashes")}
        digest = hashlib.sha256(canonicaljson.encode_canonical_json(hashed)).digest()
        self.assertEqual(event.hashes, {"sha256": encode_base64(digest)})

    def test_redacted_events_keep_signature_and_id(self) -> None:
        for version in ALL_VERSIONS:
            event = build(version, content={"body": "secret"})
            redacted = redact_pdu(event.pdu, version)
            self.assertNotIn("body", redacted["content"])
            verify_event_signature(redacted, version, "one", KEY.verify_key)
            self.assertEqual(event_id_of(redacted, version), event.event_id)
            self.assertEqual(reference_hash(redacted, version), reference_hash(event.pdu, version))
            self.assertFalse(check_content_hash(redacted))

    def test_changes_are_noticed(self) -> None:
        for version in ALL_VERSIONS:
            event = build(version, "m.room.member", {"membership": "join", "x": 1}, "@a:one")
            content = {**event.content, "x": 2}
            self.assertFalse(check_content_hash({**event.pdu, "content": content}))
            altered = {**event.pdu, "content": {"membership": "ban"}}
            self.assertRaises(
                SignatureError, verify_event_signature, altered, version, "one", KEY.verify_key
            )
            other = generate_signing_key("1").verify_key
            self.assertRaises(
                SignatureError, verify_event_signature, event.pdu, version, "one", other
            )
            self.assertRaises(
                SignatureError, verify_event_signature, event.pdu, version, "two", KEY.verify_key
            )

    def test_missing_or_malformed_hashes(self) -> None:
        event = build(ROOM_VERSIONS["12"])
        for hashes in (None, {}, [], {"sha256": 3}, {"sha256": "?"}, {"sha256": "é"}):
            self.assertFalse(check_content_hash({**event.pdu, "hashes": hashes}))
