"""RFC 9493 and Shared Signals 1.0 §3: what the identifiers come to."""

import pytest

from gateway.events.jws import EventError
from gateway.events.security_event import SubjectSelector
from gateway.events.subject import read_subject

ISS = "https://i"
ISS_SUB = {"format": "iss_sub", "iss": ISS, "sub": "alice"}
SESSION = {"format": "opaque", "id": "s1"}


@pytest.mark.parametrize(
    ("sub_id", "subjects"),
    [
        (ISS_SUB, [SubjectSelector("sub", "alice", ISS)]),
        ({"format": "opaque", "id": "x"}, [SubjectSelector("sub", "x"), SubjectSelector("sid", "x")]),
        ({"format": "email", "email": "a@b"}, [SubjectSelector("email", "a@b")]),
        ({"format": "account", "uri": "acct:a@b"}, [SubjectSelector("email", "a@b")]),
        ({"format": "jwt_id", "iss": ISS, "jti": "j"}, [SubjectSelector("jti", "j", ISS)]),
        (
            {"format": "aliases", "identifiers": [ISS_SUB, {"format": "email", "email": "a@b"}]},
            [SubjectSelector("sub", "alice", ISS), SubjectSelector("email", "a@b")],
        ),
        ({"format": "complex", "user": ISS_SUB}, [SubjectSelector("sub", "alice", ISS)]),
        ({"format": "complex", "session": SESSION}, [SubjectSelector("sid", "s1")]),
        (
            {"format": "complex", "user": ISS_SUB, "session": SESSION},
            [SubjectSelector("sub", "alice", ISS), SubjectSelector("sid", "s1")],
        ),
        ({"format": "complex", "user": ISS_SUB, "device": SESSION}, [SubjectSelector("sub", "alice", ISS)]),
        ({"format": "complex", "user": ISS_SUB, "application": SESSION}, [SubjectSelector("sub", "alice", ISS)]),
        (
            {"format": "complex", "application": {"format": "opaque", "id": "web"}},
            [SubjectSelector("client_id", "web")],
        ),
        ({"format": "complex", "session": {**ISS_SUB, "sub": "s1"}}, [SubjectSelector("sid", "s1", ISS)]),
    ],
    ids=str,
)
def test_each_subject_identifier_gives_its_selectors(sub_id, subjects):
    assert read_subject(sub_id) == tuple(subjects)


@pytest.mark.parametrize(
    "sub_id",
    [
        {"format": "phone_number", "phone_number": "+1"},
        {"format": "did", "url": "did:example:1"},
        {"format": "uri", "uri": "https://u"},
        {"format": "saml_assertion_id", "issuer": ISS, "assertion_id": "1"},
        {"format": "catalog_item", "catalog_id": "c"},
        {"format": "complex", "device": SESSION},
        {"format": "complex", "tenant": SESSION, "group": SESSION},
        {"format": "complex"},
        {"format": "complex", "session": {"format": "phone_number", "phone_number": "+1"}},
    ],
    ids=str,
)
def test_a_subject_that_no_token_names_gives_nothing(sub_id):
    assert read_subject(sub_id) == ()


@pytest.mark.parametrize(
    "sub_id",
    [
        None,
        7,
        [],
        "alice",
        {},
        {"format": 7},
        {"format": "iss_sub"},
        {"format": "iss_sub", "iss": ISS},
        {"format": "iss_sub", "iss": ISS, "sub": ""},
        {"format": "iss_sub", "iss": 7, "sub": "alice"},
        {"format": "opaque"},
        {"format": "opaque", "id": 7},
        {"format": "opaque", "id": "x" * 1025},
        {"format": "email", "email": None},
        {"format": "account", "uri": "mailto:a@b"},
        {"format": "jwt_id", "jti": "j"},
        {"format": "aliases"},
        {"format": "aliases", "identifiers": []},
        {"format": "aliases", "identifiers": [7]},
        {"format": "aliases", "identifiers": [ISS_SUB] * 21},
        {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [ISS_SUB]}]},
        {"format": "complex", "user": "alice"},
        {"format": "complex", "user": {"format": "iss_sub"}},
        {"format": "complex", "session": {"format": "opaque"}},
        {"format": "complex", "session": 7},
    ],
    ids=str,
)
def test_what_is_not_an_identifier_is_refused(sub_id):
    assert isinstance(read_subject(sub_id), EventError)
