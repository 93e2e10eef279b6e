"""What others wrote, and what must not be kept of it."""
