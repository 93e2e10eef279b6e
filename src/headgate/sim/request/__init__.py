"""What a caller sends, read: validated, cut into blocks, counted."""
