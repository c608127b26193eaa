Users can block all invites; what ignored users say is left out of history, too; leaving a room after a kick succeeds.
