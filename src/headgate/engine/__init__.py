"""One call's path, in order.  Read pipeline.py first."""
