import re

from support.deployed import DEPLOY
from support.log_events import eventless_records, events_of_the_code, fields_of_requests

TEXT = (DEPLOY.parent / "docs" / "logs.md").read_text()
REQUESTS, EVENTS = re.split(r"^## Events$", TEXT.partition("## Requests")[2], flags=re.MULTILINE)


def test_every_event_of_the_code_is_documented_and_no_other():
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|(.*?)\| (.+) \|$", EVENTS, re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", fields)) for name, _, fields, _ in rows}
    code = events_of_the_code()
    assert len(code) > 30
    assert sorted(told) == sorted(code)
    assert {name: sorted(fields - told[name]) for name, fields in code.items() if fields - told[name]} == {}


def test_every_record_of_the_code_has_an_event():
    assert eventless_records() == []


def test_every_field_of_a_request_is_documented_and_no_other():
    told = {
        name
        for row in re.findall(r"^\|((?: ?`\w+`)+) \|", REQUESTS, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert told == fields_of_requests()
