"""What one organisation has: credentials, limits, cache, books."""
