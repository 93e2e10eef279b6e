"""Personal data and secrets, found and taken out of text before it is stored.

`scrub(text)` for a whole text, `Scrubber` for one that comes in pieces, `find(text)` to see what would go.
"""

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Finding
from headgate.safety.scrub.scrubber import Placeholders, Scrubber, find, scrub

__all__ = ["Finding", "FindingType", "Placeholders", "Scrubber", "find", "scrub"]
