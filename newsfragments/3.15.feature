Clients are given credentials of the TURN server (`turn_uris`, `turn_shared_secret` and the other options of that name).
