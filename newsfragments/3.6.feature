Messages, names and topics of rooms can be searched for (`POST /search`) by any part of a word in any script, Chinese, Japanese and Korean included, on SQLite and PostgreSQL alike.
