Relations of events: `/relations`, `/threads`, and bundled aggregations of edits, threads and references wherever clients are shown events.
