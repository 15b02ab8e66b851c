import pytest

from gateway.authn.phantom import usable_phantom, without_phantom

JWT = "eyJhbGciOiJub25lIn0.e30.c2ln"


def test_the_token_leaves_the_claims_and_nothing_else_does() -> None:
    document = {"active": True, "sub": "alice", "jwt": JWT}
    assert without_phantom(document) == ({"active": True, "sub": "alice"}, JWT)
    assert document["jwt"] == JWT
    assert without_phantom({"active": False}) == ({"active": False}, None)


@pytest.mark.parametrize("value", [None, "", 7, True, {"jwt": JWT}, [JWT], "opaque", "a.b", f"{JWT}\r\nX: y", "a.b.é"])
def test_what_is_not_a_signed_jwt_leaves_them_too_and_is_not_kept(value: object) -> None:
    assert without_phantom({"active": True, "jwt": value}) == ({"active": True}, None)


def test_a_token_that_no_backend_would_take_is_not_kept() -> None:
    assert usable_phantom("a.b." + "c" * (32 * 2**10 - 4)) is not None
    assert usable_phantom("a.b." + "c" * (32 * 2**10 - 3)) is None
