"""How long a test waits for what must come: never measured, only guarded against."""

from __future__ import annotations

__all__ = ["HANG_S"]

HANG_S = 60.0
"""Nothing takes this long unless something is broken, on a machine that does other things as well."""
