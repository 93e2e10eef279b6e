"""Metrics: what there is (catalogue), where it is kept (registry), how calls and the engine's state get into it."""
