"""The admin API, at the paths that existing admin tools use."""
