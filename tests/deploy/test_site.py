"""The documents as a site: it builds without a warning, every link leads somewhere, nothing comes from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from urllib.parse import quote_plus, unquote, urlsplit

import pytest
from packaging.version import Version
from support.browser import browser, browser_program
from support.log_events import events_of_the_code, fields_of_requests

from gateway.config.keys import keys_below
from gateway.config.model import Config
from gateway.observe.families import NAMES

ROOT = Path(__file__).parents[2]


# What somebody may type, and the page that is meant.
SEARCHED = {
    "keycloak": "guides/keycloak.html",
    "insufficient_scope": "guides/troubleshooting.html",
    "oathkeeper": "migrating/oathkeeper.html",
    "gatewayredisaway": "runbook.html",
    "limits": "reference/keys.html",
    "protect a service": "guides/protect-a-service.html",
}

# What a browser shows as the first result. The search ranks by all that stands on a page.
FOUND_FIRST = {
    "keycloak": "guides/keycloak.html",
    "insufficient_scope": "guides/troubleshooting.html",
    "oathkeeper": "migrating/oathkeeper.html",
    "trusted_proxies": "reference/keys.html",
}


class _Page(HTMLParser):
    """The links of a page, the ids that links may lead to, and what a browser would load by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.ids |= {named[name] for name in ("id", "name") if name in named}
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        elif tag in {"script", "img", "iframe", "source"} and "src" in named:
            self.loaded.append(named["src"])
        elif tag == "link" and named.get("rel") in {"stylesheet", "icon", "preconnect", "preload"}:
            self.loaded.append(named["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("mkdocs") is None or find_spec("material") is None:
        pytest.skip("mkdocs is not installed; pip install -e '.[docs]' brings it")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, _Page]) -> None:
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its links are those of the site's address, which nobody has chosen here
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                broken.append(f"{path.relative_to(site)}: {link} has no such part")
    assert broken == []


def test_the_steps_of_a_list_are_numbered_through(site: Path) -> None:
    """A block within an item that is not indented far enough would end the list, and each step would be number 1."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        begun = len(re.findall(r"^ *1\. ", text, re.MULTILINE))
        page = path.relative_to(ROOT / "docs").with_suffix(".html").as_posix().replace("README", "index")
        shown = (site / page).read_text(encoding="utf-8").count("<ol>")
        assert shown == begun, f"{page} shows {shown} lists, and {path.name} begins {begun}"


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, _Page]) -> None:
    assert {one for page in pages.values() for one in page.loaded if urlsplit(one).netloc} == set()


def test_every_key_and_every_metric_has_its_line(site: Path) -> None:
    keys = (site / "reference" / "keys.html").read_text(encoding="utf-8")
    assert [key.path for key in keys_below(Config) if f">{'.'.join(key.path[1:]) or key.name}<" not in keys] == []
    metrics = (site / "reference" / "metrics.html").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"<code>{name}</code>" not in metrics] == []


def test_every_event_of_the_log_has_its_line(site: Path) -> None:
    page = (site / "reference" / "log.html").read_text(encoding="utf-8")
    assert [name for name in events_of_the_code() if f"<code>{name}</code>" not in page] == []
    assert [name for name in fields_of_requests() if f"<code>{name}</code>" not in page] == []


def test_every_key_says_since_which_release_it_is_there(site: Path) -> None:
    page = (site / "reference" / "keys.html").read_text(encoding="utf-8")
    sections = {key.path[0] for key in keys_below(Config)}
    releases = re.findall(r"<td>([0-9]+\.[0-9]+\.[0-9]+)</td>", page)
    assert len(releases) == len(list(keys_below(Config))) - len(sections)
    assert len(re.findall(r"Since [0-9]+\.[0-9]+\.[0-9]+\.", page)) == len(sections)


def test_what_is_written_down_of_releases_is_of_keys_and_of_no_later_release() -> None:
    lines = (ROOT / "docs" / "site" / "since.txt").read_text(encoding="utf-8").splitlines()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    keys = [line.partition(" ")[2] for line in lines]
    assert len(keys) == len(set(keys))
    for line in lines:
        assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+ [a-z_.]+", line), line
        assert Version(line.partition(" ")[0]) <= Version(version)


def test_the_search_finds_the_page_that_is_meant(site: Path) -> None:
    """Each word stands in the title of a page or of a part of it, which is what the search puts first."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    places = {(one["title"].lower(), one["location"]) for one in index["docs"]}
    for words, page in SEARCHED.items():
        assert any(words in title and location.startswith(page) for title, location in places), words


@pytest.mark.skipif(browser_program() is None, reason="no chromium: apt install chromium, or CHROMIUM=its path")
async def test_a_reader_who_searches_sees_that_page_first(served: str, tmp_path: Path) -> None:
    program = browser_program()
    assert program is not None  # as above
    async with browser(program, tmp_path) as tab:
        for words, page in FOUND_FIRST.items():
            await tab.open(f"{served}/index.html?q={quote_plus(words)}")
            await tab.until("document.querySelector('.md-search-result__item > a') !== null", 60)
            first = await tab.value("document.querySelector('.md-search-result__item > a').href")
            assert first.startswith(f"{served}/{page}"), f"{words}: {first}"
        assert tab.said == []
        assert {one for one in tab.asked if not one.startswith((served, "data:"))} == set()


def test_every_document_is_in_the_search_and_in_the_navigation(site: Path, pages: dict[Path, _Page]) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {one["location"].partition("#")[0] for one in index["docs"]}
    start = pages[site / "index.html"]
    linked = {unquote(urlsplit(link).path) for link in start.links}
    for path in (ROOT / "docs").rglob("*.md"):
        page = path.relative_to(ROOT / "docs").with_suffix(".html").as_posix().replace("README", "index")
        assert page in found or (page == "index.html" and "" in found), page
        if not page.startswith("decisions/") and page != "index.html":
            assert page in linked, f"{page} is not in nav of mkdocs.yml"
