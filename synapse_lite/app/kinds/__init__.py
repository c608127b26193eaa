"""The kinds of process, one module each: what it reads, serves and does."""
