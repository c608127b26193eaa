A homeserver of several processes: master, event_creator, client_reader, synchrotron and generic_worker, on SQLite and on PostgreSQL.
