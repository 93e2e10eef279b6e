"""The version, in one place: the build and `headgate --version` both read it."""

__version__ = "0.1.0"
