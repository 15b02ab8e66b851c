import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from support.configuration import PROVIDER, ROUTE, lines, loaded


def pem(encryption=None):
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf = authority.issue_cert("localhost")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    for part in leaf.cert_chain_pems:
        part.write_to_path(folder / "cert.pem", append=True)
    (folder / "other.pem").write_text(pem())
    (folder / "locked.pem").write_text(pem(BestAvailableEncryption(b"pass")))
    (folder / "junk.pem").write_text("junk")
    return folder


def test_certificates_are_found_beside_the_file(certificates):
    text = PROVIDER + ROUTE + "server: {tls: {certificate: cert.pem, key: key.pem, client_ca: ca.pem}}"
    tls = loaded(text, directory=certificates).server.tls
    assert (tls.certificate, tls.client_ca) == (str(certificates / "cert.pem"), str(certificates / "ca.pem"))


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (
            "certificate: none.pem, key: junk2.pem",
            [
                "server.tls.certificate: {d}/none.pem is not a file that exists; write the path of one",
                "server.tls.key: {d}/junk2.pem is not a file that exists; write the path of one",
            ],
        ),
        (
            "certificate: cert.pem, key: other.pem",
            [
                (
                    "server.tls.key: {d}/other.pem is not the key of {d}/cert.pem; "
                    "write the key that the certificate was made for"
                )
            ],
        ),
        (
            "certificate: junk.pem, key: key.pem",
            [
                (
                    "server.tls.certificate: {d}/junk.pem holds no certificate; "
                    "write a PEM file, the server's own certificate first"
                )
            ],
        ),
        *[
            (
                f"certificate: cert.pem, key: {key}",
                [
                    (
                        f"server.tls.key: {{d}}/{key} holds no private key that can be used; "
                        "write a PEM file without a passphrase"
                    )
                ],
            )
            for key in ("junk.pem", "locked.pem")
        ],
        (
            "certificate: cert.pem, key: key.pem, client_ca: junk.pem",
            ["server.tls.client_ca: {d}/junk.pem holds no certificate; write a PEM file of authorities"],
        ),
    ],
)
def test_certificates_that_can_not_serve(certificates, tls, expected):
    found = lines(PROVIDER + ROUTE + f"server: {{tls: {{{tls}}}}}", directory=certificates)
    assert found == ["3: " + line.replace("{d}", str(certificates)) for line in expected]


@pytest.mark.parametrize(
    ("server", "admin", "clash"),
    [
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("localhost:80", "127.0.0.1:80", True),
        ("':80'", "'[::1]:80'", True),
        ("'[::]:80'", "127.0.0.1:80", True),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("0.0.0.0:80", "'[::1]:80'", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("0.0.0.0:80", "0.0.0.0:81", False),
    ],
)
def test_two_listeners_need_two_ports(server, admin, clash):
    found = lines(PROVIDER + ROUTE + f"server: {{listen: {server}}}\nadmin: {{listen: {admin}}}")
    assert bool(found) is clash
    if clash:
        assert found[0].startswith("4: admin.listen: server.listen (")


def test_a_clash_with_the_admins_default_is_told_at_the_server():
    assert lines(PROVIDER + ROUTE + "server: {listen: 0.0.0.0:9090}") == [
        "3: server.listen: the admin listener has this port (127.0.0.1:9090); write another, or admin.listen"
    ]


def test_an_admin_token_must_fit_into_a_header():
    for token in ("a b and so on and on", '"a-token-with-a-line\\n"', "tökén-of-the-admin"):
        assert lines(PROVIDER + ROUTE + f"admin: {{token: {token}}}") == [
            "3: admin.token: this cannot be sent in a header; write letters, digits and signs, without blanks"
        ]


def test_a_private_key_must_be_one():
    text = (
        "providers: {p: {issuer: https://i, client_id: g, client_auth: private_key_jwt, private_key: '${K}'}}\n" + ROUTE
    )
    assert loaded(text, {"K": pem()}).providers["p"].private_key is not None
    for bad in (pem(BestAvailableEncryption(b"pass")), "junk-junk", pem()[:60]):
        [line] = lines(text, {"K": bad})
        assert line.startswith("1: providers.p.private_key: this is not a private key in PEM without a passphrase; ")
        assert "junk" not in line
