import base64
import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest

from gateway.admin.page import page


def policy():
    parts = page().headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def test_it_loads_nothing_from_anywhere():
    assert not re.findall(r"(?:src|srcset|action|formaction|poster|data)=", page().text)
    assert not re.findall(r"https?://|//[a-z]", re.sub(r"^//.*|\s// .*", "", page().text, flags=re.MULTILINE))
    assert re.findall(r'href="([^"]+)"', page().text) == ["/status", "/metrics", "/routes", "/health/ready"]
    assert "@import" not in page().text
    assert "url(" not in page().text


def test_the_policy_lets_it_ask_this_listener_and_nothing_else():
    assert policy()["default-src"] == "'none'"
    assert policy()["connect-src"] == "'self'"
    for name in ("base-uri", "form-action", "frame-ancestors"):  # default-src does not cover these
        assert policy()[name] == "'none'"
    assert "unsafe" not in page().headers["Content-Security-Policy"]


@pytest.mark.parametrize("element", ["style", "script"])
def test_its_own_parts_are_allowed_by_their_digest(element):
    [content] = re.findall(f"<{element}[^>]*>(.*?)</{element}>", page().text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert policy()[f"{element}-src"] == f"'sha256-{digest}'"


def test_nothing_is_inline_that_the_policy_would_refuse():
    without_parts = re.sub(r"<(style|script)>.*?</\1>", "", page().text, flags=re.DOTALL)
    assert not re.findall(r"\s(?:style|on[a-z]+)=", without_parts)


def test_it_makes_text_of_what_it_is_told_and_keeps_no_token():
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert word not in page().text
    for word in ("localStorage", "sessionStorage", "indexedDB", "document.cookie", "history.", "location"):
        assert word not in page().text
    assert 'id="token" type="password" autocomplete="off"' in page().text


async def test_it_is_open_and_says_its_policy(admin):
    answer, body = await admin.ask("GET", "/", token=None)
    assert (answer.status, answer.content_type, answer.charset) == (200, "text/html", "utf-8")
    assert body.decode() == page().text
    for name, value in page().headers.items():
        assert answer.headers[name] == value
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_status_is_open(admin):
    answer, body = await admin.ask("GET", "/status", token=None)
    assert answer.status == 200
    assert json.loads(body)["workers"]["each"][0]["pid"] == 7


async def test_the_refusals_need_the_admin_token(admin):
    for token, status in ((None, 401), ("wrong-token-of-the-admin", 401)):
        answer, _ = await admin.ask("GET", "/refusals", token=token)
        assert answer.status == status
    assert admin.instance.asked == []
    answer, body = await admin.ask("GET", "/refusals")
    assert (answer.status, json.loads(body)["refusals"][0]["reason"]) == (200, "aud is [account]")


def test_it_is_part_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "admin/page.html" in project["tool"]["setuptools"]["package-data"]["gateway"]
