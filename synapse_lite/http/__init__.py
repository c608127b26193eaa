"""HTTP: how endpoints are declared and served, and our clients."""
