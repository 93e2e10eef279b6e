"""Observers.  Nothing here is on the path of a call: what cannot be written is counted and dropped."""
