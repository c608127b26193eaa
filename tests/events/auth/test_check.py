"""The authorisation rules, by scenario and room version."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import TestCase

from synapse_lite.api.constants import EventTypes, JoinRules, Membership
from synapse_lite.api.errors import ForbiddenError
from synapse_lite.crypto.base64 import encode_base64
from synapse_lite.crypto.keys import SigningKey
from synapse_lite.crypto.signing import sign_json
from synapse_lite.events.auth import (
    check_auth,
    check_state_dependent_auth,
    check_state_independent_auth,
    required_signers,
)
from synapse_lite.events.builder import EventReference, build_event
from synapse_lite.events.event import Event, make_event
from synapse_lite.events.hashing import add_signature
from synapse_lite.events.room_versions import ROOM_VERSIONS

from ..support import (
    ALICE,
    ALL_VERSIONS,
    BOB,
    CAROL,
    DAVE,
    KEY,
    Room,
    versions_before,
    versions_from,
)


class AuthTestCase(TestCase):
    def check(self, room: Room, event: Event) -> None:
        """By its auth events, and by the state: both must agree in these tests."""
        by_id = {stored.event_id: stored for stored in room.state.values()}
        auth_events = [by_id[event_id] for event_id in event.auth_event_ids]
        create = room.create if room.version.room_id_from_create_event else None
        check_auth(event, auth_events, create_event=create)
        check_state_dependent_auth(event, room.state)

    def assert_allowed(self, room: Room, event: Event) -> None:
        try:
            self.check(room, event)
        except ForbiddenError as error:
            self.fail(f"Version {room.version.identifier}: {error.message}")

    def assert_forbidden(self, room: Room, event: Event, reason: str) -> None:
        error = self.assertRaises(ForbiddenError, check_state_dependent_auth, event, room.state)
        self.assertRegex(error.message, reason, f"version {room.version.identifier}")
        self.assertRaises(ForbiddenError, self.check, room, event)

    def rooms(self, versions: Iterable = ALL_VERSIONS, **create_content):
        for version in versions:
            yield Room(version, create_content)


class CreateTests(AuthTestCase):
    def independent(self, event: Event, reason: str) -> None:
        error = self.assertRaises(ForbiddenError, check_state_independent_auth, event, [])
        self.assertRegex(error.message, reason)

    def create(self, version, content, sender=ALICE, room_id="!room:one", prev=()) -> Event:
        return build_event(
            room_version=version,
            room_id=room_id,
            sender=sender,
            type=EventTypes.CREATE,
            content=content,
            state_key="",
            prev_events=prev,
            auth_events=[],
            depth=1,
            origin_server_ts=1,
            server_name="one",
            signing_key=KEY,
            event_id_localpart="c",
        )

    def test_create_is_allowed(self) -> None:
        for room in self.rooms():
            check_auth(room.create, [])

    def test_create_with_prev_events_is_rejected(self) -> None:
        for version in ALL_VERSIONS:
            room_id = None if version.room_id_from_create_event else "!room:one"
            event = self.create(
                version, {"creator": ALICE}, room_id=room_id, prev=[EventReference("$p:one")]
            )
            self.independent(event, "first event")

    def test_room_id_from_another_server_is_rejected(self) -> None:
        for version in versions_before("12"):
            event = self.create(version, {"creator": ALICE}, room_id="!room:two")
            self.independent(event, "server in the room id")

    def test_room_id_is_rejected_where_it_comes_from_the_event(self) -> None:
        self.independent(self.create(ROOM_VERSIONS["12"], {}), "no room_id")

    def test_unknown_room_version_is_rejected(self) -> None:
        for version in versions_before("12"):
            for declared in ("999", 1, None):
                event = self.create(version, {"creator": ALICE, "room_version": declared})
                self.independent(event, "room version")

    def test_creator_is_needed_until_version_10(self) -> None:
        for version in versions_before("11"):
            self.independent(self.create(version, {}), "creator")
        check_auth(self.create(ROOM_VERSIONS["11"], {}), [])

    def test_additional_creators_must_be_user_ids(self) -> None:
        version = ROOM_VERSIONS["12"]
        for bad in ("@a:b", ["nonsense"], [1], {"@a:b": 1}, ["@nodomain"]):
            event = self.create(version, {"additional_creators": bad}, room_id=None)
            self.independent(event, "additional_creators")
        check_auth(self.create(version, {"additional_creators": [BOB]}, room_id=None), [])
        check_auth(self.create(ROOM_VERSIONS["11"], {"additional_creators": 3}), [])

    def test_room_closed_to_other_servers(self) -> None:
        for room in self.rooms(**{"m.federate": False}):
            room.set_join_rule(JoinRules.PUBLIC)
            self.assert_forbidden(room, room.member(CAROL, CAROL, "join"), "closed")
            self.assert_allowed(room, room.member(BOB, BOB, "join"))


class AuthEventTests(AuthTestCase):
    def check_independent(self, room: Room, event: Event, auth_events, create=None) -> None:
        create = create or (room.create if room.version.room_id_from_create_event else None)
        check_state_independent_auth(event, auth_events, create_event=create)

    def forbidden(self, room: Room, event: Event, auth_events, reason, create=None) -> None:
        error = self.assertRaises(
            ForbiddenError, self.check_independent, room, event, auth_events, create
        )
        self.assertRegex(error.message, reason)

    def auth_events(self, room: Room, event: Event) -> list[Event]:
        return [room.events[event_id] for event_id in event.auth_event_ids]

    def test_selection(self) -> None:
        for room in self.rooms():
            event = room.make(ALICE, EventTypes.MESSAGE, {})
            good = self.auth_events(room, event)
            self.check_independent(room, event, good)
            join_rules = room.set_join_rule("public")
            self.forbidden(room, event, [*good, join_rules], "cannot authorise")
            message = room.send(ALICE, EventTypes.MESSAGE, {})
            self.forbidden(room, event, [*good, message], "cannot authorise")
            self.forbidden(room, event, [*good, room.join(ALICE)], "Two auth events")

    def test_create_event_among_auth_events(self) -> None:
        for room in self.rooms(versions_before("12")):
            event = room.make(ALICE, EventTypes.MESSAGE, {})
            without = [one for one in self.auth_events(room, event) if one != room.create]
            self.forbidden(room, event, without, "create event is not among")
        room = Room(ROOM_VERSIONS["12"])
        event = room.make(ALICE, EventTypes.MESSAGE, {})
        self.assertNotIn(room.create.event_id, event.auth_event_ids)
        self.forbidden(
            room, event, [*self.auth_events(room, event), room.create], "cannot authorise"
        )

    def test_rejected_auth_event(self) -> None:
        for room in self.rooms():
            event = room.make(ALICE, EventTypes.MESSAGE, {})
            room.state[(EventTypes.MEMBER, ALICE)].metadata.rejected_reason = "no"
            self.forbidden(room, event, self.auth_events(room, event), "was rejected")

    def test_auth_event_of_another_room(self) -> None:
        for room in self.rooms(versions_before("12")):
            other = Room(room.version)
            event = room.make(ALICE, EventTypes.MESSAGE, {})
            moved = make_event({**event.pdu, "room_id": "!other:one"}, room.version)
            self.forbidden(other, moved, self.auth_events(room, event), "another room")

    def test_room_id_must_be_that_of_an_accepted_create_event(self) -> None:
        room = Room(ROOM_VERSIONS["12"])
        event = room.make(ALICE, EventTypes.MESSAGE, {})
        auth_events = self.auth_events(room, event)
        self.assertRaises(
            ForbiddenError, check_state_independent_auth, event, auth_events, create_event=None
        )
        other = Room(room.version, {"x": 1})
        self.forbidden(room, event, auth_events, "another room", create=other.create)
        room.create.metadata.rejected_reason = "no"
        self.forbidden(room, event, auth_events, "was rejected")


class JoinTests(AuthTestCase):
    def test_creator_joins_first(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version)
            del room.state[(EventTypes.MEMBER, ALICE)]
            room.last = room.create
            self.assert_allowed(room, room.member(ALICE, ALICE, "join"))
            self.assert_forbidden(room, room.member(BOB, BOB, "join"), "not invited")

    def test_creator_is_named_by_content_until_version_10(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version, {"creator": BOB})
            room.state = {room.create.state_tuple: room.create}
            room.last = room.create
            named = room.member(BOB, BOB, "join")
            sender = room.member(ALICE, ALICE, "join")
            allowed, forbidden = (sender, named)
            if not version.implicit_room_creator:
                allowed, forbidden = (named, sender)
            self.assert_allowed(room, allowed)
            self.assert_forbidden(room, forbidden, "not invited")

    def test_additional_creators_do_not_join_first(self) -> None:
        room = Room(ROOM_VERSIONS["12"], {"additional_creators": [BOB]})
        room.last = room.create
        self.assert_forbidden(room, room.member(BOB, BOB, "join"), "not invited")

    def test_rules_by_membership(self) -> None:
        allowed = {
            "public": ("leave", "invite", "join", "knock"),
            "invite": ("invite", "join"),
            "private": (),
            "nonsense": (),
        }
        for room in self.rooms():
            room.set_join_rule("public")
            for rule, memberships in allowed.items():
                room.set_join_rule(rule)
                for membership in ("leave", "invite", "join", "knock", "ban"):
                    room.set_member(ALICE, BOB, membership)
                    event = room.member(BOB, BOB, "join")
                    if membership in memberships:
                        self.assert_allowed(room, event)
                    else:
                        self.assert_forbidden(room, event, "banned|invited|nobody")

    def test_without_join_rules_an_invite_is_needed(self) -> None:
        for room in self.rooms():
            self.assert_forbidden(room, room.member(BOB, BOB, "join"), "not invited")
            room.set_member(ALICE, BOB, "invite")
            self.assert_allowed(room, room.member(BOB, BOB, "join"))

    def test_nobody_joins_for_another(self) -> None:
        for room in self.rooms():
            room.set_join_rule("public")
            self.assert_forbidden(room, room.member(ALICE, BOB, "join"), "on behalf")

    def test_knock_rules_let_the_invited_in(self) -> None:
        cases = (("knock", "7"), ("restricted", "8"), ("knock_restricted", "10"))
        for rule, since in cases:
            for version in ALL_VERSIONS:
                room = Room(version)
                room.set_join_rule(rule)
                event = room.member(BOB, BOB, "join")
                self.assert_forbidden(room, event, "not invited|nobody|takes an invite")
                room.set_member(ALICE, BOB, "invite")
                event = room.member(BOB, BOB, "join")
                if version in versions_from(since):
                    self.assert_allowed(room, event)
                else:
                    self.assert_forbidden(room, event, "nobody")


class RestrictedJoinTests(AuthTestCase):
    def restricted(self, room: Room, rule: str = "restricted") -> None:
        room.set_join_rule(rule)
        room.set_levels(invite=50)

    def join(self, room: Room, authoriser: object) -> Event:
        return room.member(CAROL, CAROL, "join", join_authorised_via_users_server=authoriser)

    def signed_by(self, event: Event, server: str) -> Event:
        pdu = dict(event.pdu)
        add_signature(pdu, event.room_version, server, KEY)
        return make_event(pdu, event.room_version)

    def test_member_with_invite_power_authorises(self) -> None:
        for rule, since in (("restricted", "8"), ("knock_restricted", "10")):
            for room in self.rooms(versions_from(since)):
                self.restricted(room, rule)
                event = self.signed_by(self.join(room, ALICE), "one")
                self.assert_allowed(room, event)
                self.assertEqual(required_signers(event), {"one", "two"})

    def test_signature_of_the_authorising_server_is_needed(self) -> None:
        for room in self.rooms(versions_from("8")):
            self.restricted(room)
            self.assert_forbidden(room, self.join(room, ALICE), "not signed")
            self.assert_forbidden(room, self.join(room, 7), "not a user id")

    def test_authoriser_without_power_or_outside_the_room(self) -> None:
        for room in self.rooms(versions_from("8")):
            self.restricted(room)
            event = self.signed_by(self.join(room, BOB), "one")
            self.assert_forbidden(room, event, "may authorise")
            room.join(BOB)
            event = self.signed_by(self.join(room, BOB), "one")
            self.assert_forbidden(room, event, "may authorise")
            room.set_levels(invite=50, users={BOB: 50})
            event = self.signed_by(self.join(room, BOB), "one")
            self.assert_allowed(room, event)

    def test_banned_user_stays_out(self) -> None:
        for room in self.rooms(versions_from("8")):
            self.restricted(room)
            room.set_member(ALICE, CAROL, "ban")
            event = self.signed_by(self.join(room, ALICE), "one")
            self.assert_forbidden(room, event, "banned")

    def test_the_key_means_nothing_before_version_8(self) -> None:
        for room in self.rooms(versions_before("8")):
            room.set_join_rule("public")
            self.assert_allowed(room, self.join(room, ALICE))


class KnockTests(AuthTestCase):
    def test_knocking(self) -> None:
        for rule, since in (("knock", "7"), ("knock_restricted", "10")):
            for room in self.rooms():
                room.set_join_rule(rule)
                event = room.member(CAROL, CAROL, "knock")
                if room.version in versions_from(since):
                    self.assert_allowed(room, event)
                else:
                    self.assert_forbidden(room, event, "unknown|does not allow knocking")

    def test_knocking_takes_the_right_rule(self) -> None:
        for room in self.rooms(versions_from("7")):
            for rule in ("public", "invite", "restricted", "private"):
                room.set_join_rule(rule)
                event = room.member(CAROL, CAROL, "knock")
                self.assert_forbidden(room, event, "does not allow knocking")

    def test_who_cannot_knock(self) -> None:
        for room in self.rooms(versions_from("7")):
            room.set_join_rule("knock")
            self.assert_forbidden(room, room.member(ALICE, CAROL, "knock"), "on behalf")
            for membership in ("ban", "invite", "join"):
                room.set_member(ALICE, CAROL, membership)
                self.assert_forbidden(room, room.member(CAROL, CAROL, "knock"), "cannot knock")
            room.set_member(ALICE, CAROL, "knock")
            self.assert_allowed(room, room.member(CAROL, CAROL, "knock"))

    def test_taking_a_knock_back(self) -> None:
        for room in self.rooms():
            room.set_member(CAROL, CAROL, "knock")
            event = room.member(CAROL, CAROL, "leave")
            if room.version.knock:
                self.assert_allowed(room, event)
            else:
                self.assert_forbidden(room, event, "not in the room")


class MembershipTests(AuthTestCase):
    def test_unknown_membership(self) -> None:
        for room in self.rooms():
            for membership in ("nonsense", 1, None, ["join"]):
                self.assert_forbidden(room, room.member(ALICE, ALICE, membership), "membership")
            event = room.make(ALICE, EventTypes.MEMBER, {"membership": "join"})
            self.assert_forbidden(room, event, "state key")

    def test_inviting(self) -> None:
        for room in self.rooms():
            self.assert_allowed(room, room.member(ALICE, CAROL, "invite"))
            self.assert_forbidden(room, room.member(BOB, CAROL, "invite"), "not in the room")
            room.join(BOB)
            self.assert_allowed(room, room.member(BOB, CAROL, "invite"))
            self.assert_forbidden(room, room.member(ALICE, BOB, "invite"), "already")
            room.set_levels(invite=1)
            self.assert_forbidden(room, room.member(BOB, CAROL, "invite"), "to invite")
            room.set_member(ALICE, CAROL, "ban")
            self.assert_forbidden(room, room.member(ALICE, CAROL, "invite"), "banned")

    def test_leaving(self) -> None:
        for room in self.rooms():
            self.assert_forbidden(room, room.member(BOB, BOB, "leave"), "not in the room")
            for membership in ("join", "invite"):
                room.set_member(ALICE, BOB, membership)
                self.assert_allowed(room, room.member(BOB, BOB, "leave"))
            room.set_member(ALICE, BOB, "ban")
            self.assert_forbidden(room, room.member(BOB, BOB, "leave"), "not in the room")

    def test_kicking(self) -> None:
        for room in self.rooms():
            for user_id in (BOB, CAROL, DAVE):
                room.join(user_id)
            room.set_levels(users={BOB: 50, CAROL: 49, DAVE: 50})
            self.assert_allowed(room, room.member(ALICE, BOB, "leave"))
            self.assert_allowed(room, room.member(BOB, CAROL, "leave"))
            self.assert_forbidden(room, room.member(BOB, DAVE, "leave"), "stand above")
            self.assert_forbidden(room, room.member(BOB, ALICE, "leave"), "stand above")
            self.assert_forbidden(room, room.member(CAROL, DAVE, "leave"), "to kick")
            self.assert_forbidden(room, room.member("@x:two", CAROL, "leave"), "not in the room")

    def test_banning_and_unbanning(self) -> None:
        for room in self.rooms():
            for user_id in (BOB, CAROL):
                room.join(user_id)
            room.set_levels(users={BOB: 50, CAROL: 60}, ban=55)
            self.assert_forbidden(room, room.member(BOB, DAVE, "ban"), "to ban")
            self.assert_allowed(room, room.member(CAROL, DAVE, "ban"))
            self.assert_forbidden(room, room.member(CAROL, ALICE, "ban"), "stand above")
            self.assert_forbidden(room, room.member("@x:two", DAVE, "ban"), "not in the room")
            room.set_member(ALICE, DAVE, "ban")
            self.assert_forbidden(room, room.member(BOB, DAVE, "leave"), "to ban")
            self.assert_allowed(room, room.member(CAROL, DAVE, "leave"))

    def test_without_power_levels_only_the_creator_has_power(self) -> None:
        for room in self.rooms():
            for user_id in (BOB, CAROL):
                room.join(user_id)
            self.assert_allowed(room, room.member(ALICE, BOB, "ban"))
            self.assert_forbidden(room, room.member(BOB, CAROL, "ban"), "to ban")


class ThirdPartyInviteTests(AuthTestCase):
    identity_key = SigningKey("id", b"7" * 32)

    def setUp(self) -> None:
        super().setUp()
        self.public = self.identity_key.verify_key.encode()

    def invite_by(self, room: Room, sender: str, **changes) -> Event:
        signed = {"mxid": CAROL, "token": "token", **changes}
        signed = {key: value for key, value in signed.items() if value is not None}
        signed = sign_json(signed, "identity", self.identity_key)
        return self.invite_with(room, sender, {"display_name": "c", "signed": signed})

    def invite_with(self, room: Room, sender: str, invite: object) -> Event:
        return room.member(sender, CAROL, "invite", third_party_invite=invite)

    def announce(self, room: Room, **content) -> None:
        room.send(ALICE, EventTypes.THIRD_PARTY_INVITE, content, "token")

    def test_redeeming(self) -> None:
        for room in self.rooms():
            self.announce(room, public_key=self.public)
            event = self.invite_by(room, ALICE)
            self.assert_allowed(room, event)
            self.assertNotIn(
                "one", required_signers(event) if event.room_version.event_id_is_hash else ()
            )
            other = encode_base64(b"x" * 32)
            self.announce(
                room, public_key=other, public_keys=[{"public_key": 5}, {"public_key": self.public}]
            )
            self.assert_allowed(room, self.invite_by(room, ALICE))

    def test_what_does_not_redeem(self) -> None:
        for room in self.rooms():
            self.assert_forbidden(room, self.invite_by(room, ALICE), "no third-party invite")
            self.announce(room, public_key=self.public)
            room.join(BOB)
            self.assert_forbidden(room, self.invite_by(room, BOB), "another user")
            self.assert_forbidden(room, self.invite_by(room, ALICE, mxid=DAVE), "another user")
            self.assert_forbidden(room, self.invite_by(room, ALICE, mxid=None), "lacks")
            self.assert_forbidden(room, self.invite_by(room, ALICE, token=None), "lacks")
            self.assert_forbidden(room, self.invite_with(room, ALICE, {}), "not signed")
            self.assert_forbidden(room, self.invite_with(room, ALICE, 5), "not signed")
            self.announce(room, public_key=encode_base64(b"x" * 32))
            self.assert_forbidden(room, self.invite_by(room, ALICE), "No key")
            self.announce(room, public_keys="nonsense")
            self.assert_forbidden(room, self.invite_by(room, ALICE), "No key")
            room.set_member(ALICE, CAROL, "ban")
            self.assert_forbidden(room, self.invite_by(room, ALICE), "banned")

    def test_announcing_takes_the_invite_level(self) -> None:
        for room in self.rooms():
            room.join(BOB)
            room.set_levels(invite=10, users={BOB: 9})
            event = room.make(BOB, EventTypes.THIRD_PARTY_INVITE, {}, "t")
            self.assert_forbidden(room, event, "to invite")
            room.set_levels(invite=9, users={BOB: 9})
            self.assert_allowed(room, room.make(BOB, EventTypes.THIRD_PARTY_INVITE, {}, "t"))


class SendingTests(AuthTestCase):
    def test_only_members_send(self) -> None:
        for room in self.rooms():
            for membership in (None, "invite", "leave", "ban", "knock"):
                if membership is not None:
                    room.set_member(ALICE, BOB, membership)
                self.assert_forbidden(room, room.make(BOB, "m.x", {}), "not in the room")
            room.join(BOB)
            self.assert_allowed(room, room.make(BOB, "m.x", {}))

    def test_levels_by_type(self) -> None:
        for room in self.rooms():
            room.join(BOB)
            room.set_levels(users={BOB: 20}, events={"m.low": 20, "m.high": 21}, events_default=21)
            for event_type, state_key, allowed in (
                ("m.low", None, True),
                ("m.low", "", True),
                ("m.high", None, False),
                ("m.other", None, False),
                ("m.other", "", False),
            ):
                event = room.make(BOB, event_type, {}, state_key)
                if allowed:
                    self.assert_allowed(room, event)
                else:
                    self.assert_forbidden(room, event, "takes a power level")

    def test_defaults(self) -> None:
        for room in self.rooms():
            room.join(BOB)
            for _ in range(2):
                self.assert_allowed(room, room.make(BOB, "m.x", {}))
                self.assert_forbidden(room, room.make(BOB, "m.x", {}, ""), "level of 50")
                room.set_levels()

    def test_state_under_user_ids(self) -> None:
        for room in self.rooms():
            self.assert_allowed(room, room.make(ALICE, "m.x", {}, ALICE))
            self.assert_forbidden(room, room.make(ALICE, "m.x", {}, BOB), "only be set by")

    def test_aliases_until_version_5(self) -> None:
        for room in self.rooms():
            own = room.make(CAROL, EventTypes.ALIASES, {"aliases": []}, "two")
            foreign = room.make(CAROL, EventTypes.ALIASES, {"aliases": []}, "one")
            if room.version.special_case_aliases_auth:
                self.assert_allowed(room, own)
                self.assert_forbidden(room, foreign, "own aliases")
                self.assert_forbidden(room, room.make(CAROL, EventTypes.ALIASES, {}), "own aliases")
            else:
                self.assert_forbidden(room, own, "not in the room")

    def test_redactions_until_version_2(self) -> None:
        for room in self.rooms():
            room.join(CAROL)
            target = room.send(ALICE, "m.x", {})
            event = room.make(CAROL, EventTypes.REDACTION, {}, redacts=target.event_id)
            own = room.send(CAROL, "m.x", {})
            own_redaction = room.make(CAROL, EventTypes.REDACTION, {}, redacts=own.event_id)
            self.assert_allowed(room, own_redaction)
            if room.version.redaction_auth_rule:
                self.assert_forbidden(room, event, "redact events of others")
                room.set_levels(users={CAROL: 50})
            self.assert_allowed(
                room, room.make(CAROL, EventTypes.REDACTION, {}, redacts=target.event_id)
            )


class CreatorTests(AuthTestCase):
    def test_creators_stand_above_all(self) -> None:
        room = Room(ROOM_VERSIONS["12"], {"additional_creators": [BOB]})
        for user_id in (BOB, CAROL):
            room.join(user_id)
        highest = 2**53 - 1
        room.set_levels(users={CAROL: highest}, events={"m.x": highest}, ban=highest)
        for creator in (ALICE, BOB):
            self.assert_allowed(room, room.make(creator, "m.x", {}, ""))
            self.assert_allowed(room, room.member(creator, CAROL, "ban"))
            self.assert_forbidden(room, room.member(CAROL, creator, "ban"), "stand above")
        self.assert_forbidden(room, room.member(ALICE, BOB, "ban"), "stand above")

    def test_creators_are_not_named_in_power_levels(self) -> None:
        room = Room(ROOM_VERSIONS["12"], {"additional_creators": [BOB]})
        for creator in (ALICE, BOB):
            event = room.make(ALICE, EventTypes.POWER_LEVELS, {"users": {creator: 100}}, "")
            self.assert_forbidden(room, event, "must not name")
        event = room.make(ALICE, EventTypes.POWER_LEVELS, {"users": {CAROL: 100}}, "")
        self.assert_allowed(room, event)

    def test_creators_lose_power_before_version_12(self) -> None:
        room = Room(ROOM_VERSIONS["11"], {"additional_creators": [BOB]})
        room.join(BOB)
        self.assert_forbidden(room, room.make(BOB, "m.x", {}, ""), "level of 50")
        room.set_levels(users={ALICE: 10})
        self.assert_forbidden(room, room.make(ALICE, "m.x", {}, ""), "level of 50")
        self.assertEqual(Membership.JOIN, room.state[(EventTypes.MEMBER, ALICE)].membership)
