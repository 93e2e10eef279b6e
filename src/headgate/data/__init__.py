"""Dated facts that ship: prices, models, tiers, trace slices; each file names its source."""
