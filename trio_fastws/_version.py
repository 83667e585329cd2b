"""The version, for `__init__`, and for what says it to others."""

__version__ = "0.1.0"
