"""Decisions without I/O: state and facts in, the next state and a decision out.  Time and chance are arguments."""
