"""synapse_lite: a Matrix homeserver of several processes over one database."""

__version__ = "0.1.0"
