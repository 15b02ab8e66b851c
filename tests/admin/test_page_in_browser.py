"""The page in a real browser: what each state shows first, that nothing is refused or loaded, and who can use it.

`PAGE_PICTURES` names a folder that gets a picture of each state.
"""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from support.admin import TOKEN, Client, FakeInstance
from support.browser import browser, browser_program
from support.instance_states import NOW, QUIET, ROUTES, SHOWN_FIRST, STATES

from gateway.admin.admin_listener import AdminListener
from gateway.admin.application import admin_app
from gateway.config.server_model import Admin
from gateway.config.values import parse_address
from gateway.workers.sockets import bind

PROGRAM = browser_program()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium: apt install chromium, or CHROMIUM=its path")
AXE = Path(os.environ.get("NODE_MODULES", "node_modules")) / "axe-core" / "axe.min.js"
ATTACK = "</script><img src=x onerror=alert(1)>"
REFUSAL = {
    "time": NOW,
    "route": "orders",
    "method": "GET",
    "path": f"/orders/{ATTACK}",
    "status": 401,
    "code": "invalid_token",
    "reason": "aud is [account], one of [orders-api] wanted",
    "client": "10.2.0.7",
    "subject": None,
    "request_id": "8b0c89",
}


class StatedInstance(FakeInstance):
    """In a state that a test chooses."""

    state = QUIET
    polls = 0

    async def snapshot(self):
        self.polls += 1
        return self.state.snapshot()

    def readiness(self):
        return self.state.readiness

    def routes(self):
        return list(ROUTES)

    def workers(self):
        return list(self.state.workers)

    async def refusals(self):
        return [REFUSAL]

    async def explain(self, question):
        self.asked.append(question)
        return {"decision": "refuse", "route": "orders", "status": 401, "code": "invalid_token", "steps": ["aud: no"]}


@pytest.fixture
async def shown(tmp_path):
    """A browser that looks at the page of an instance."""
    instance = StatedInstance()
    (sock,) = bind(parse_address("127.0.0.1:0"))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    settings = Admin(listen="127.0.0.1:9090", token=TOKEN)
    listener = AdminListener(admin_app(instance, lambda: settings, lambda: instance.state.about))
    await listener.start(sock)
    async with aiohttp.ClientSession() as session, browser(PROGRAM, tmp_path) as tab:
        tab.client, tab.instance, tab.url = Client(session, url, instance), instance, url
        await tab.looks()
        await tab.open(url)
        await tab.until("document.querySelector('#routes tbody tr') !== null", 60)
        yield tab
        # No part of it was refused by its own policy, and nothing was asked of anybody else.
        assert tab.said == []
        assert {one for one in tab.asked if not one.startswith(url)} == set()
    await listener.stop()


async def turns_to(tab, state):
    tab.instance.state = state
    before = tab.instance.polls
    async with asyncio.timeout(30):
        while tab.instance.polls < before + 2:  # noqa: ASYNC110 - the instance tells of no event
            await asyncio.sleep(0.1)


async def test_what_each_state_shows_first(shown):
    for name, state in STATES.items():
        # Requests come within the minute that is looked at: here without failures, which would be an alarm.
        await turns_to(shown, replace(state, failures=0))
        overall, first = SHOWN_FIRST[name]
        await shown.until(f"document.querySelector('#state').innerText.includes({overall!r})")
        assert first in await shown.text("#alarms li")
        # What is wrong is the first thing on the page below its head.
        assert await shown.value("document.querySelector('main').firstElementChild.id") == "alarms"
        if folder := os.environ.get("PAGE_PICTURES"):
            await shown.picture(Path(folder) / f"{name.replace(' ', '-')}.png")


async def test_failing_requests_are_an_alarm_of_the_last_minute(shown):
    await turns_to(shown, STATES["under load"])
    alarm = "route orders: 5.0 % of 4000 requests failed (5xx)"
    await shown.until(f"document.querySelector('#alarms').innerText.includes({alarm!r})")
    assert "2.0 ms" in await shown.text("#routes") or " / " in await shown.text("#routes")


async def test_an_instance_that_goes_away_is_said_to(shown):
    shown.instance.raises = None
    await shown.value("window.fetch = () => Promise.reject(new Error('gone'))")
    await shown.until("document.querySelector('#alarms').innerText.includes('does not answer')")
    assert "no answer" in await shown.text("#state")


async def test_refusals_and_try_need_the_token_and_keep_it_nowhere(shown):
    assert await shown.value("getComputedStyle(document.querySelector('#refusals')).display") == "none"
    await shown.fill("#token", "a-wrong-token-of-the-admin")
    await shown.press("Enter", 13)
    await shown.until("document.querySelector('#outcome').innerText.includes('not the admin token')")
    await shown.value(f"document.querySelector('#token').value = {json.dumps(TOKEN)}")
    await shown.value("document.querySelector('#unlock').requestSubmit()")
    await shown.until("document.querySelector('#refusals tbody tr') !== null")
    row = await shown.text("#refusals tbody tr")
    assert "aud is [account], one of [orders-api] wanted" in row
    assert ATTACK in row  # as text
    assert await shown.value("document.querySelectorAll('img').length") == 0
    await shown.fill("#url", "/orders/7")
    await shown.fill("#bearer", "the-callers-token")
    await shown.press("Enter", 13)
    await shown.until("document.querySelector('#outcome').innerText.includes('refuse 401 invalid_token')")
    assert shown.instance.asked == [{"method": "GET", "url": "/orders/7", "token": "the-callers-token"}]
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"
    assert await shown.value(kept) == json.dumps([{}, {}, "", f"{shown.url}/", None], separators=(",", ":"))
    assert not [one for one in shown.asked if "token" in one]
    await shown.command("Page.reload")
    await shown.until("document.querySelector('#routes tbody tr') !== null")
    assert await shown.value("document.querySelector('#token').value") == ""


async def test_without_a_configured_token_it_says_what_to_do(shown):
    await turns_to(shown, replace(QUIET, about=replace(QUIET.about, has_admin_token=False)))
    await shown.until("getComputedStyle(document.querySelector('#with-token')).display === 'none'")
    assert "set admin.token" in await shown.text("#no-token")


async def test_the_keyboard_reaches_everything_in_order(shown):
    reached = []
    for _ in range(11):
        await shown.press("Tab", 9)
        reached.append(await shown.value("document.activeElement.id || document.activeElement.innerText"))
    assert reached == [
        *("token", "Show the last refusals", "method", "url", "bearer", "Try"),
        *("status", "metrics", "routes", "readiness"),
        reached[-1],
    ]
    await shown.value("document.querySelector('button').focus()")
    assert await shown.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"


async def test_a_screen_reader_gets_tables_with_heads_and_one_live_region(shown):
    roles = await shown.command("Accessibility.getFullAXTree")
    names = [(one["role"]["value"], one.get("name", {}).get("value", "")) for one in roles["nodes"] if "role" in one]
    for caption in ("Routes", "Providers", "Workers"):
        assert ("table", caption) in names
    assert ("rowheader", "orders") in names
    assert ("columnheader", "req/s") in names
    for label in ("Admin token", "Method", "URL or path", "Caller's token, if any"):
        assert ("textbox", label) in names
    assert await shown.value("document.querySelectorAll('[aria-live]').length") == 1


@pytest.mark.parametrize(
    ("routes", "workers", "seconds"), [(2, 1, 2), (30, 2, 2), (20, 4, 3.2), (300, 2, 12.8), (100, 8, 19.2)]
)
async def test_with_many_routes_in_many_workers_it_asks_more_rarely(shown, routes, workers, seconds):
    """A poll took 2 ms and, for each route, 0.05 ms and 0.09 ms more in each worker: this stays under 1 % of a core."""
    assert await shown.value(f"poll_ms({routes}, {workers})") == seconds * 1000
    assert await shown.value("wait_ms") == 2000


async def test_polling_changes_only_what_changed(shown):
    # Otherwise a reader loses its place, a selection goes, and the live region is read out again every two seconds.
    await shown.value(
        "window.changes = 0; new MutationObserver(found => window.changes += found.length)"
        ".observe(document.querySelector('#alarms'), {childList: true, subtree: true, characterData: true})"
    )
    await shown.value("window.row = document.querySelector('#routes tbody tr'); null")
    await turns_to(shown, replace(QUIET, requests=10))
    await turns_to(shown, replace(QUIET, requests=20))
    assert await shown.value("window.changes") == 0
    assert await shown.value("window.row === document.querySelector('#routes tbody tr')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
async def test_it_fits_a_telephone_and_a_desk_in_both_lights(shown, scheme, width):
    await shown.looks(width=width, height=900, scheme=scheme)
    await turns_to(shown, STATES["provider down"])
    assert await shown.value("document.documentElement.scrollWidth") <= width
    ground = await shown.value("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(20, 23, 28)"}[scheme]
    if folder := os.environ.get("PAGE_PICTURES"):
        await shown.picture(Path(folder) / f"{scheme}-{width}.png")


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core: npm install axe-core, then NODE_MODULES=its folder")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
async def test_axe_finds_nothing(shown, scheme, width):
    await shown.looks(width=width, height=900, scheme=scheme)
    await turns_to(shown, STATES["provider down"])
    await shown.value("document.querySelector('#token').value = " + json.dumps(TOKEN))
    await shown.value("document.querySelector('#unlock').requestSubmit()")
    await shown.until("document.querySelector('#refusals tbody tr') !== null")
    await shown.value(await asyncio.to_thread(AXE.read_text) + "; null")
    violations = "axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"
    assert await shown.value(violations) == []
