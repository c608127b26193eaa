"""Documents under /.well-known/matrix."""
