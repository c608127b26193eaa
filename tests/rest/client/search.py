"""What tests of searching have in common."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.handlers.search_index import INDEX_SECONDS, SearchIndexer
from tests.harness.homeserver import make_worker, now
from tests.rest.client.rooms import RoomsCase


class SearchCase(RoomsCase):
    """A master whose index runs, and a client_reader beside it. Each answer must be the same."""

    def setUp(self) -> None:
        super().setUp()
        self.indexer = self.master.hs.part(SearchIndexer)
        now(self.indexer.start())
        self.worker = make_worker(CLIENT_READER, self.master)

    def index(self) -> None:
        self.master.reactor.advance(INDEX_SECONDS)

    def say(self, room_id: str, text: str, token: str | None = None) -> str:
        return self.master.send(token or self.alice, room_id, text)

    def edit(self, room_id: str, target: str, text: str, token: str | None = None) -> str:
        content = {
            "msgtype": "m.text",
            "body": f"* {text}",
            "m.new_content": {"msgtype": "m.text", "body": text},
            "m.relates_to": {"rel_type": "m.replace", "event_id": target},
        }
        path = f"rooms/{room_id}/send/m.room.message/edit{text}"
        event_id: str = self.ok("PUT", quote(path), content, token)["event_id"]
        return event_id

    def redact(self, room_id: str, event_id: str) -> None:
        self.ok("PUT", f"rooms/{room_id}/redact/{quote(event_id)}/{event_id[1:9]}", {})

    def search(
        self,
        term: str,
        token: str | None = None,
        next_batch: str | None = None,
        **options: Any,
    ) -> Any:
        """The category of the answer, the same from master and worker."""
        body = {"search_categories": {"room_events": {"search_term": term, **options}}}
        path = "search" if next_batch is None else f"search?next_batch={next_batch}"
        answer = self.ok("POST", path, body, token)
        other = self.worker.request("POST", path, body, token or self.alice).json
        for each in (answer, other):
            for events in each["search_categories"]["room_events"].get("state", {}).values():
                events.sort(key=lambda event: event["event_id"])
        self.assertEqual(other, answer)
        return answer["search_categories"]["room_events"]

    def found(self, term: str, token: str | None = None, **options: Any) -> list[str]:
        """The ids of the results."""
        results = self.search(term, token, **options)["results"]
        return [each["result"]["event_id"] for each in results]
