"""The private members of aiohttp's `RequestHandler` that the general lane leans on, and what for.

They are no promise of aiohttp's: `aiohttp<4` is pinned, and a test holds this table to the code on one side and to the
installed release on the other (docs/decisions/0003).
"""

from __future__ import annotations

from typing import Final

MEMBERS: Final = {
    "_buffer_paused": "whether aiohttp has stopped reading because a body's reader is slow",
    "_close": "whether aiohttp closes after this exchange",
    "_force_close": "set to have it drop what comes; it sets this itself as it shuts down",
    "_loop": "the event loop",
    "_messages": "requests, and reports of errors, that its parser has made and its task has not taken",
    "_parser": "let go with all that it holds once the last response is out",
    "_pause_transport_reading": "stop reading, in step with what aiohttp knows of it",
    "_reading_paused": "whether it has stopped reading for any reason",
    "_request_count": "grows with each request or report that its parser makes",
    "_resume_transport_reading": "read on, in step with what aiohttp knows of it",
    "_upgraded": "whether another protocol has begun",
    "_waiter": "what its task waits for while there is no request",
}
