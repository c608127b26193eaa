Reports of rooms, events and users are kept for the administrators; clients find the rooms that two users share, and learn that no third-party networks are bridged.
