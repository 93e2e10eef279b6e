"""The operators' API: what the dashboard, `headgate top` and other programs ask."""
