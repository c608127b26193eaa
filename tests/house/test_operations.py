"""Which operations of the client-server API are there: none gets lost, and none is forgotten."""

from __future__ import annotations

import re

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import UnrecognizedError
from synapse_lite.http.endpoint import endpoints_of
from synapse_lite.http.router import Router
from synapse_lite.rest.servlets import SERVLETS
from tests.harness.openapi import operations

MISSING = frozenset(
    {
        # application services
        "pingAppservice",
        # end-to-end encryption
        "claimKeys",
        "deleteRoomKeyBySessionId",
        "deleteRoomKeys",
        "deleteRoomKeysByRoomId",
        "deleteRoomKeysVersion",
        "getKeysChanges",
        "getRoomKeyBySessionId",
        "getRoomKeys",
        "getRoomKeysByRoomId",
        "getRoomKeysVersion",
        "getRoomKeysVersionCurrent",
        "postRoomKeysVersion",
        "putRoomKeyBySessionId",
        "putRoomKeys",
        "putRoomKeysByRoomId",
        "putRoomKeysVersion",
        "queryKeys",
        "sendToDevice",
        "uploadCrossSigningKeys",
        "uploadCrossSigningSignatures",
        "uploadKeys",
        # log-in at another service
        "getAuthMetadata",
        "redirectToIdP",
        "redirectToSSO",
        # media
        "createContent",
        "getConfig",
        "getConfigAuthed",
        "getContent",
        "getContentAuthed",
        "getContentOverrideName",
        "getContentOverrideNameAuthed",
        "getContentThumbnail",
        "getContentThumbnailAuthed",
        "getUrlPreview",
        "getUrlPreviewAuthed",
        "uploadContent",
        "uploadContentToMXC",
        # policy servers
        "getWellknownPolicy",
        # push notifications
        "getPushers",
        "postPusher",
    }
)
"""Operations that are not served yet."""


class OperationsTests(TestCase):
    def test_every_operation_is_served_or_known_to_be_missing(self) -> None:
        router: Router[str] = Router()
        for servlet in SERVLETS:
            for endpoint in endpoints_of(servlet):
                for path in endpoint.paths:
                    for method in endpoint.methods:
                        router.add(
                            method, path, endpoint.label, trailing_slash=endpoint.trailing_slash
                        )
        missing = set()
        for operation in operations():
            try:
                router.match(operation.method, re.sub(r"\{\w+\}", "x", operation.path))
            except UnrecognizedError:
                missing.add(operation.name)
        self.assertEqual(missing ^ MISSING, set())
