"""For gunicorn and Flask's own server: what Flask answers behind the gateway."""

import gzip
import os
import sys

from flask import Flask, Response, jsonify, redirect, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
if os.environ.get("PROXY_FIX"):
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]


@app.route("/echo")
def echo() -> Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return jsonify({"path": request.path, "headers": headers})


@app.route("/slash/")
def slash() -> Response:
    return echo()


@app.route("/away")
def away() -> object:
    return redirect(url_for("echo", _external=True))


@app.route("/text")
def text() -> Response:
    body = gzip.compress(b"a line of text\n" * 200)
    return Response(body, headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"})


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]))
