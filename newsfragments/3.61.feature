Users can be searched for by any part of their name or id (`POST /user_directory/search`), by the master, a client_reader or the new kind of worker user_dir.
