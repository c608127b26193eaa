The endpoints that clients used before /sync are there: /initialSync, /events with peeking into world-readable rooms, and single events.
