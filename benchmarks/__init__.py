"""Measures what the same work costs on synapse_lite and on Synapse."""
