"""Where state lives.  `base` says what a store must do; each other module does it with one technology."""
