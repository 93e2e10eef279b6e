"""What is kept of the text of calls: what may be, for how long, and how it is let go."""
