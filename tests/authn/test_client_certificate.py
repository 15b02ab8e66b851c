import base64
from hashlib import sha256
from urllib.parse import quote

import pytest
import trustme

from gateway.authn.client_certificate import thumbprint, thumbprint_in

PEM = trustme.CA().issue_cert("client.example").cert_chain_pems[0].bytes()
DER = base64.b64decode(b"".join(PEM.split(b"\n")[1:-2]))
X5T = base64.urlsafe_b64encode(sha256(DER).digest()).rstrip(b"=").decode()
HASH = sha256(DER).hexdigest()
SEQUENCE = f":{base64.b64encode(DER).decode()}:"
ESCAPED = quote(PEM, safe="")
OTHER = "ab" * 32


def test_the_thumbprint_is_of_the_whole_certificate() -> None:
    assert thumbprint(DER) == X5T


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("rfc9440", [SEQUENCE]),
        ("pem_escaped", [ESCAPED]),
        ("pem_escaped", [quote(PEM, safe="+=/")]),  # as AWS writes it
        ("pem_escaped", [quote(PEM + PEM, safe="")]),  # with its chain
        ("pem_escaped", [quote(PEM.replace(b"\n", b"\r\n"), safe="")]),
        ("xfcc", [f"Hash={HASH}"]),
        ("xfcc", [f'By=spiffe://a/b;Hash={HASH.upper()};Subject="CN=a,O=\\"b\\";x";URI=spiffe://c']),
        ("xfcc", [f'Cert="{ESCAPED}"']),
        ("xfcc", [f'Hash={HASH};Cert="{ESCAPED}"']),
        ("xfcc", [f"Hash={OTHER},By=b;Hash={HASH}"]),  # the nearest proxy wrote the last one
        ("xfcc", [f"Hash={OTHER}", f"Hash={HASH}"]),
    ],
)
def test_each_form_is_read(form, values) -> None:
    assert thumbprint_in(values, form) == X5T


@pytest.mark.parametrize(
    ("form", "values"),
    [
        *((form, []) for form in ("rfc9440", "pem_escaped", "xfcc")),
        *((form, [""]) for form in ("rfc9440", "pem_escaped", "xfcc")),
        ("rfc9440", [SEQUENCE, SEQUENCE]),
        ("rfc9440", [SEQUENCE[1:]]),
        ("rfc9440", [SEQUENCE + ";a=1"]),
        ("rfc9440", [":AAAA:"]),
        ("rfc9440", [ESCAPED]),
        ("pem_escaped", [ESCAPED, ESCAPED]),
        ("pem_escaped", [SEQUENCE]),
        ("pem_escaped", [quote(b"x" + PEM, safe="")]),
        ("pem_escaped", [quote(PEM[:-30], safe="")]),
        ("xfcc", [f"Hash={HASH},By=b"]),
        ("xfcc", [f"Hash={HASH[:-1]}"]),
        ("xfcc", [f'URI=a;Subject="Hash={HASH}"']),
        ("xfcc", [f'Hash={OTHER};Cert="{ESCAPED}"']),
        ("xfcc", ["Cert=AAAA"]),
        ("xfcc", [f"Hash={OTHER};Hash={HASH}"]),
        ("xfcc", [f"Hash={HASH};x y;By=b"]),
        ("xfcc", [f"Hash={HASH}", ""]),
        # What a client wrote before Envoy appended leaves a quote open, and the client's own name goes on behind it.
        ("xfcc", [f'By="x,By=b;Hash={OTHER};Subject="CN=a;Hash={HASH};O=b"']),
        ("xfcc", [f'By="x,By=b;Hash={OTHER};Subject="/;Hash={HASH};Y=\\"b"']),
    ],
)
def test_what_cannot_be_read_in_one_way_is_no_certificate(form, values) -> None:
    assert thumbprint_in(values, form) is None
