"""The master: the only writer; serves everything, and its workers."""
