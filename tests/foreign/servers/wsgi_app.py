"""For gunicorn and Flask's own server: what Flask answers behind the gateway."""

import gzip
import os
import sys

from flask import Flask, Response, jsonify, redirect, request, send_from_directory, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
if os.environ.get("PROXY_FIX"):
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]


@app.route("/echo")
@app.route("/upload", methods=["POST"])
def echo() -> Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    told = {"path": request.path, "client": request.remote_addr, "url": request.url}
    return jsonify({**told, "bytes": len(request.get_data()), "headers": headers})


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


@app.route("/relative")
def relative() -> object:
    return redirect("/echo")


@app.route("/file.txt")
def file() -> Response:
    return send_from_directory(os.environ["FILES"], "file.txt")


@app.route("/cookie")
def cookie() -> Response:
    return Response("set", headers={"Set-Cookie": "seen=1; Path=/account"})


@app.route("/reject", methods=["POST"])
def reject() -> tuple[str, int]:
    return "too large", 413


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]))
