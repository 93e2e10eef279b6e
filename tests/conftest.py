"""For all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run, so that a change is what breaks a test; and no limit on their time, because machines
# differ.  To look for new ones: pytest --hypothesis-profile=search
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=3_000, database=None, print_blob=True)
settings.load_profile("repeatable")
