"""The only package that speaks to the API: connections, credentials, one attempt at a time.  No policy."""
