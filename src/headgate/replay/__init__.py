"""The proving ground: recorded traffic against the simulated API in virtual time, by the engine that serves and by its
rivals, and what no scheduler could beat.

`workload` reads who asks what and when, `run` plays it under one of the `policies`, `figures` says what came of it,
`bounds` what could have come of it at best.
"""
