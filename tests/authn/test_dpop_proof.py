import json
import time

import pytest
from support.dpop import Prover, ath
from support.signing import encoded, forged_by_mac, jwk, key_for, rsa_key, unsigned

from gateway.authn.bearer import Token
from gateway.authn.dpop_proof import Asked, DpopProof, read_proof, token_hash

URI, TOKEN = "https://api.example.com/orders/7", "abc"
ASKED = Asked("GET", URI, Token(TOKEN))
ALGORITHMS = ("ES256", "EdDSA", "PS256", "RS256")
ES256 = Prover()


def read(*values: str, algorithms=ALGORITHMS, asked=ASKED):
    return read_proof(values, asked, algorithms)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_proof_of_each_algorithm_is_verified(algorithm) -> None:
    prover = Prover(algorithm, rsa_key() if algorithm in ("PS256", "RS256") else None)
    found = read(prover.proof("GET", URI, TOKEN))
    assert isinstance(found, DpopProof)
    assert found.key.thumbprint == prover.jkt
    assert not found.is_known_forged
    assert found.has_signature
    assert abs(found.issued_at - time.time()) < 5


def test_the_example_of_the_rfc_has_its_thumbprint() -> None:
    """RFC 9449 §4.1 and §6.1; the proof of §7.1 is of 2019, and a clock refuses it elsewhere."""
    proof = (
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
        "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJ"
        "qdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXN"
        "vdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yR"
        "qzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
    )
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    found = read(proof, asked=Asked("GET", "https://resource.example.org/protectedresource", Token(token)))
    assert isinstance(found, DpopProof)
    assert found.key.thumbprint == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    assert found.has_signature


def bad(says: str, **more):
    return says, ES256.proof("GET", URI, TOKEN, **more)


def made_of(header: bytes) -> str:
    return f"{encoded(header)}.{encoded(b'{}')}.AAAA"


PRIVATE = {**ES256.jwk, "d": "AAAA"}
OTHER_KEY = jwk(key_for("ES256", 9), None)


@pytest.mark.parametrize(
    ("says", "proof"),
    [
        bad("typ", header={"typ": "JWT"}),
        bad("typ", header={"typ": None}),
        bad("typ", header={"typ": 5}),
        bad("alg is not one of", header={"alg": "ES384"}, by=key_for("ES384")),
        bad("private key", header={"jwk": PRIVATE}),
        bad("jwk is missing", header={"jwk": None}),
        bad("jwk is missing", header={"jwk": "x"}),
        bad("not a key of its alg", header={"jwk": {**ES256.jwk, "crv": "P-384"}}),
        bad("not a key of its alg", header={"jwk": {**ES256.jwk, "alg": "ES384"}}),
        bad("not a key of its alg", header={"jwk": {"kty": "oct", "crv": "P-256"}}),
        bad("private key", header={"jwk": {"kty": "oct", "k": "AAAA"}}),
        bad("wrong type", header={"jwk": {**ES256.jwk, "kty": ["EC"]}}),
        bad("base64url", header={"jwk": {**ES256.jwk, "x": "a+b"}}),
        bad("base64url", header={"jwk": {**ES256.jwk, "y": None}}),
        bad("crit", header={"crit": ["b64"], "b64": False}),
        bad("htm", htm="POST"),
        bad("htm", htm="get"),
        bad("htm is missing", htm=None),
        bad("htm is missing", htm=5),
        bad("htu is not", htu="https://api.example.com/orders/8"),
        bad("htu is not", htu="http://api.example.com/orders/7"),
        bad("htu is missing", htu=None),
        bad("jti is missing", jti=None),
        bad("jti is missing", jti=""),
        bad("jti is missing", jti="j" * 257),
        bad("iat", iat=None),
        bad("iat", iat="1"),
        bad("iat", iat=True),
        bad("iat", iat=-1),
        bad("ath", ath=None),
        bad("ath", ath=ath("another")),
        bad("ath", ath=ath(TOKEN) + "="),
        bad("nonce", nonce=5),
        bad("nonce", nonce="n" * 1025),
        ("too long", "a" * 9000),
        ("compact form", "a.b"),
        ("compact form", unsigned({})),
        ("compact form", "a.b.c.d.e"),
        ("one meaning", made_of(b"{")),
        ("one meaning", made_of(b'{"alg":1,"alg":2}')),
        ("one meaning", made_of(b'{"alg":[' + b",".join([b"[]"] * 40) + b"]}")),
        # Good JSON of 1,400 numbers, each of which costs a call, from somebody who has paid for nothing.
        ("one meaning", made_of(b'{"alg":[' + b",".join([b"1.5"] * 1400) + b"]}")),
        (
            "one meaning",
            f"{encoded(b'{}')}.{encoded(b'{' + b','.join(b'%cx%d%c:0' % (34, n, 34) for n in range(300)) + b'}')}.AA",
        ),
        ("an object", made_of(b"[]")),
        ("alg is not one of", forged_by_mac({}, typ="dpop+jwt")),
        ("alg is not one of", made_of(b'{"typ":"dpop+jwt","alg":"none"}')),
    ],
)
def test_what_does_not_fit_is_told_without_a_signature(says, proof, monkeypatch) -> None:
    monkeypatch.setattr("gateway.authn.proof_key.ProofKey.has_signed", None)
    found = read(proof)
    assert isinstance(found, str)
    assert says in found


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_one_field(count) -> None:
    found = read(*[ES256.proof("GET", URI, TOKEN)] * count)
    assert isinstance(found, str)
    assert f"{count} DPoP fields" in found


@pytest.mark.parametrize("bits", [1024, 8192])
def test_an_rsa_key_out_of_bounds_is_not_verified_with(bits) -> None:
    header = {"alg": "RS256", "jwk": {"kty": "RSA", "e": "AQAB", "n": encoded((2 ** (bits - 1)).to_bytes(bits // 8))}}
    found = read(ES256.proof("GET", URI, TOKEN, header=header, by=rsa_key()))
    assert isinstance(found, str)
    assert "bits" in found
    header["jwk"] = {**header["jwk"], "e": "AAAAAAAAAAAA"}
    found = read(ES256.proof("GET", URI, TOKEN, header=header, by=rsa_key()))
    assert isinstance(found, str)
    assert "exponent" in found


@pytest.mark.parametrize(
    "forge",
    [
        lambda: ES256.proof("GET", URI, TOKEN, by=key_for("ES256", 9)),
        lambda: ES256.proof("GET", URI, TOKEN, header={"jwk": OTHER_KEY}),
        lambda: ES256.proof("GET", URI, TOKEN, header={"jwk": {**ES256.jwk, "x": "AAAA"}}),
        lambda: ES256.proof("GET", URI, TOKEN)[:-4] + "AAAA",
        lambda: ES256.proof("GET", URI, TOKEN).rpartition(".")[0] + ".AAAA",
    ],
)
def test_a_forged_one_is_known_after_one_look(forge) -> None:
    found = read(forge())
    assert isinstance(found, DpopProof)
    assert (found.is_known_forged, found.has_signature, found.is_known_forged) == (False, False, True)


def test_the_type_has_no_case_and_may_have_its_prefix() -> None:
    for typ in ("DPoP+jwt", "application/dpop+jwt"):
        assert isinstance(read(ES256.proof("GET", URI, TOKEN, header={"typ": typ})), DpopProof)


def test_no_reason_quotes_the_proof() -> None:
    secret = "s3cr3t"
    for more in ({"htu": f"https://{secret}"}, {"htm": secret}, {"ath": secret}, {"header": {"typ": secret}}):
        assert secret not in json.dumps(read(ES256.proof("GET", URI, TOKEN, **more)))


def test_the_hash_of_the_token_is_that_of_the_rfc() -> None:
    assert (
        token_hash(Token("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"))
        == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    )
