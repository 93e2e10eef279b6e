"""The daily report: what a day cost and how it went, against what such a day should be.  Facts, words, then files."""
