"""Edge: the gateway that speaks the Claude API, and the operators' listener beside it."""
