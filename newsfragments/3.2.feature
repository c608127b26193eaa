Presence: who is online, idle or gone, with status messages, in /sync and by request, cheap enough to stay switched on.
