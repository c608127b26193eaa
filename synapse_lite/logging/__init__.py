"""Log lines: the context that each carries, where they go, and what must not stand in them."""
