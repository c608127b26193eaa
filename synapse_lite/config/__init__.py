"""What operators decide: one typed, documented class per section of `homeserver.yaml`."""

from __future__ import annotations

from synapse_lite.config._problems import ConfigError, Problem
from synapse_lite.config.root import Config, config_from_dict, read_config

__all__ = ["Config", "ConfigError", "Problem", "config_from_dict", "read_config"]
