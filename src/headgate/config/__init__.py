"""Settings: what there is (schema), how they are found and checked (load), where each came from (explain)."""

from headgate.config.load import Loaded, load_config
from headgate.config.schema import Config

__all__ = ["Config", "Loaded", "load_config"]
