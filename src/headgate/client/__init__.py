"""Edge: the engine inside a Python process, as a transport for the SDK's HTTP client."""
