"""OpenTelemetry: traces and metrics by the GenAI conventions, sent over OTLP."""
