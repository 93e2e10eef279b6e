"""What comes back: composed, paced, written in the API's own forms."""
