"""What the gateway publishes itself."""

import pytest

from gateway.http.public_document import identity_keys, resource_metadata


@pytest.mark.parametrize("made", [identity_keys, resource_metadata])
def test_a_published_document_ends_with_a_line_end(made) -> None:
    """Otherwise the prompt of a shell follows it on the same line."""
    document = made(b'{"keys": []}')
    assert document.body == b'{"keys": []}\n'
    assert ("Content-Type", "application/json") in document.fields
