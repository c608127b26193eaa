/sync sends only the fields of events that a filter names, and says how many one-time keys a device has; /messages finds events by what relates to them.
