"""A backend that believes only what the gateway signed. It needs `PyJWT[crypto]`."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

KEYS = jwt.PyJWKClient(os.environ["KEYS"])  # asks again for an unknown kid, every 30 s at most
ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]


def caller(token: str) -> dict[str, object]:
    """The claims of a token from the gateway, for this backend. Raises `jwt.PyJWTError`."""
    key = KEYS.get_signing_key_from_jwt(token)
    return jwt.decode(
        token,
        key.key,
        algorithms=["ES256", "EdDSA"],  # never what the token itself says
        issuer=ISSUER,
        audience=AUDIENCE,
        options={"require": ["iss", "aud", "exp", "iat"]},
    )


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            self.answer(200, caller(self.headers.get("X-Identity-Token", "")))
        except jwt.PyJWTError as error:
            self.answer(401, {"error": str(error)})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Backend).serve_forever()
