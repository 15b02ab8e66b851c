"""What the site has beside the documents: the files that they link to, and reference pages that are made from the code.

mkdocs loads this as a hook (`mkdocs.yml`). A document links to files outside of `docs/` as they lie in the repository.
Text files become pages or downloads of the site under the same path; a link to what is not there fails the build.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from gateway.config.keys import ConfigKey, keys_below, model_of
from gateway.config.model import Config
from gateway.config.model_base import Model
from gateway.config.schema_defaults import written_default
from gateway.observe.families import FAMILIES

ROOT = Path(__file__).parents[2]
sys.path += [str(Path(__file__).parent), str(ROOT / "tests")]
from since import since  # noqa: E402 - beside this file; mkdocs loads a hook by its path
from support.log_events import events_of_the_code, fields_of_requests  # noqa: E402 - reads what the code logs

_LINK = re.compile(r"(\]\()((?:\.\./)+[^)#]+|\.\./?)((?:#[^)]*)?\))")
_ITEM = re.compile(r"([0-9]+\. |- )\S")
_OUTSIDE = "repository"
_DANGER = "Danger: "


def on_files(files: Files, config: Any) -> Files:
    """Add the reference pages, and each file outside of `docs/` that a document links to."""
    for name, text in (("keys", keys_page()), ("metrics", metrics_page()), ("log", log_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    for page in list(files.documentation_pages()):
        for target in _outside_of(page.src_uri, page.content_string):
            if files.get_file_from_path(f"{_OUTSIDE}/{target}") is None and (ROOT / target).is_file():
                files.append(_outside_file(target, config))
    return files


def _outside_file(target: str, config: Any) -> File:
    name = f"{_OUTSIDE}/{target}"
    path = ROOT / target
    if path.suffix == ".md":
        return File.generated(config, name, content=path.read_text(encoding="utf-8"))
    return File.generated(config, name, abs_src_path=str(path))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links that leave `docs/` to the copies of their targets."""
    here = page.file.src_uri
    is_outside = here.startswith(f"{_OUTSIDE}/")

    def led(found: re.Match[str]) -> str:
        target = _in_repository(here, found[2])
        if target is None:
            return found[0]
        if not (ROOT / target).exists():
            raise PluginError(f"{here} links to {found[2]}, which is not there")
        if not (ROOT / target).is_file():
            return f"{found[1]}{posixpath.relpath('README.md', posixpath.dirname(here) or '.')})"
        return found[1] + posixpath.relpath(f"{_OUTSIDE}/{target}", posixpath.dirname(here) or ".") + found[3]

    return indented(_from_root(markdown, here) if is_outside else _LINK.sub(led, markdown))


def _from_root(markdown: str, here: str) -> str:
    """The links of a page of the repository's root: `docs/x.md` is a page of the site, anything else is named only."""
    up = posixpath.relpath(".", posixpath.dirname(here))

    def led(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        if target.startswith("docs/"):
            return f"[{text}]({up}/{target.removeprefix('docs/')})"
        return found[0] if "://" in target or target.startswith(("#", "mailto:")) else f"`{text}`"

    return re.sub(r"\[([^\]]*)\]\(([^)]*)\)", led, markdown)


def indented(markdown: str) -> str:
    """What belongs to an item of a list, indented by four blanks as Python-Markdown wants it, and not by two or three.

    Else a block within an item ends its list, and the next item is number 1 again.
    """
    lines, by, is_code = [], 0, False
    for line in markdown.split("\n"):
        item = None if is_code else _ITEM.match(line)
        is_code ^= line.startswith("```")
        if item:
            by = len(item[1])
        elif line and not line.startswith(" " * by):
            by = 0
        lines.append(" " * (4 - by) + line if by and line and not item else line)
    return "\n".join(lines)


def _outside_of(here: str, markdown: str) -> Iterator[str]:
    for found in _LINK.finditer(markdown):
        target = _in_repository(here, found[2])
        if target is not None:
            yield target


def _in_repository(here: str, link: str) -> str | None:
    """The path in the repository that a link of the document `here` leads to; `None` where it stays in `docs/`."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(here), link))
    return None if path.startswith("docs/") or here.startswith((f"{_OUTSIDE}/", "reference/")) else path


def keys_page() -> str:
    """Every key of the file with what the model says of it."""
    releases = since()
    lines = [
        "# Keys",
        "",
        "Every key of the configuration: its default, its danger, and the release that brought it.",
        "",
    ]
    for section in keys_below(Config):
        if len(section.path) != 1:
            continue
        lines += [f"## {section.name}", "", f"{_told(section)} Since {releases[section.name]}.", ""]
        inner = model_of(section.field.annotation)
        if inner is not None:
            lines += ["| key | says | since |", "| --- | --- | --- |", *_rows(section.name, inner, releases), ""]
    return "\n".join(lines)


def _rows(section: str, model: type[Model], releases: Mapping[str, str]) -> Iterator[str]:
    for key in keys_below(model):
        path = ".".join(key.path)
        default = written_default(key)
        said = "" if default is None or "efault" in key.description else f" Default `{default}`."
        yield f"| `{path}` | {_told(key)}{said} | {releases[f'{section}.{path}']} |"


def _told(key: ConfigKey) -> str:
    says, is_dangerous, danger = key.description.replace("|", "\\|").partition(_DANGER)
    return f"{_safe(says)}**Danger**: {_safe(danger)}" if is_dangerous else _safe(says)


def _safe(text: str) -> str:
    """Text with braces and angles as they are; Markdown would read some of them as its own."""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")


def metrics_page() -> str:
    """Every metric family with its labels and its meaning."""
    lines = ["# Metrics", "", "| metric | kind | labels | says |", "| --- | --- | --- | --- |"]
    for family in FAMILIES:
        labels = " ".join(f"`{label}`" for label in family.labels)
        lines.append(f"| `{family.name}` | {family.kind} | {labels} | {_safe(family.meaning)} |")
    return "\n".join([*lines, ""])


def log_page() -> str:
    """Every event of the log with its fields, and the fields of a request's line, as the code writes them."""
    lines = ["# Log fields", "", "As the code writes them; [the log](../logs.md) says what each means.", ""]
    lines += ["| event | fields |", "| --- | --- |"]
    for name, fields in sorted({**events_of_the_code(), "request": fields_of_requests()}.items()):
        lines.append(f"| `{name}` | {' '.join(f'`{field}`' for field in sorted(fields))} |")
    return "\n".join([*lines, ""])
