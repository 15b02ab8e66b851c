"""What a client's connection is at: one variable for both lanes, `ClientConnection.state`.

                                 ┌──> FAST ──────────────────────────────────> IDLE
    ACCEPTED ──> FRESH ──┐       │
                         ├───────┼──> BODY ──> FAST or HEAD
                IDLE ────┘       │
                 │               └──> HEAD ──> REQUEST ──> REST_OF_BODY ──────> IDLE
                 │                     │          │             │
                 │                     │          ├──> TUNNEL   │
                 └──> LEAVING          │          │             │
                                       │          └─────────────┴──> BROKEN ──┐
                                       └──> UNSOUND ──────────────────────────┴──> LAST

    From every state to CLOSED.

How it works: between requests (FRESH, IDLE) the fast lane is offered what comes, and is at it in FAST. A
request that is its own but for the rest of the body waits for that in BODY, no longer than until the sweep comes by.
What it does not take goes to the general lane, which is at it from HEAD on until the connection is IDLE again. Behind a
byte that no sound request has there (UNSOUND, BROKEN) nothing is looked at, and the response to what came before is the
last.
"""

from __future__ import annotations

from typing import Final

# Numbers, because an Enum's members are looked up wherever they are compared.
ACCEPTED: Final = 0  # TLS, or the word of a balancer, is still to come
FRESH: Final = 1  # nothing has come yet
IDLE: Final = 2  # the next byte is the first of a request, and it is not the first request
FAST: Final = 3  # a request of the fast lane is under way
HEAD: Final = 4  # the general lane has a part of a head
REQUEST: Final = 5  # a request of the general lane is under way, or its parser's report of an error
REST_OF_BODY: Final = 6  # that has its response; what is left of its body is read and dropped
TUNNEL: Final = 7  # another protocol
UNSOUND: Final = 8  # what came is not a head: it is refused
BROKEN: Final = 9  # what came is not the body of the request that is, or was, under way
LAST: Final = 10  # the last response has been written; what comes is dropped
LEAVING: Final = 11  # nothing more is written; what comes is held until the client has noticed
CLOSED: Final = 12  # the event loop has said so
BODY: Final = 13  # an ordinary request is whole but for the rest of its body, and nobody has looked at it yet

MAY_FOLLOW: Final = {
    ACCEPTED: {FRESH, CLOSED},
    FRESH: {FAST, BODY, HEAD, CLOSED},
    IDLE: {FAST, BODY, HEAD, LEAVING, CLOSED},
    BODY: {FAST, HEAD, CLOSED},
    FAST: {IDLE, CLOSED},
    HEAD: {REQUEST, UNSOUND, LAST, CLOSED},
    REQUEST: {REST_OF_BODY, TUNNEL, BROKEN, LAST, CLOSED},
    REST_OF_BODY: {IDLE, REQUEST, BROKEN, LAST, CLOSED},
    TUNNEL: {CLOSED},
    UNSOUND: {LAST, CLOSED},
    BROKEN: {LAST, CLOSED},
    LAST: {CLOSED},
    LEAVING: {CLOSED},
    CLOSED: set(),
}
