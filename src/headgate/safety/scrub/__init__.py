"""Personal data and secrets, found and taken out of text before it is stored.

`scrub(text)` for a whole text, `Scrubber` for one that comes in pieces, `find(text)` to see what would go.
`FAMILIES` are the rules that they use.
"""

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.families import FAMILIES
from headgate.safety.scrub.finding import Family, Finding
from headgate.safety.scrub.scrubber import Placeholders, Scrubber, find, scrub

__all__ = ["FAMILIES", "Family", "Finding", "FindingType", "Placeholders", "Scrubber", "find", "scrub"]
