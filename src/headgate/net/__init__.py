"""HTTP/1.1 on `asyncio.Protocol` and llhttp: the server and the client pool that both edges and the simulator use.

Knows nothing of Claude.  Everything here runs on whichever event loop is running, so it also runs in virtual time.
Why we own this layer and do not sit on an ASGI server: docs/decisions/0003-own-http.md.
"""
