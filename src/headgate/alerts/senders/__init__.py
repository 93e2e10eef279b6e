"""Receivers of notifications, one a file: what each is sent, and what it means when it does not take it."""
