`scripts/quickstart` brings up a server with a first admin user on http://localhost:8008 with one command.
