import pytest
from support.scripted_provider import Fault, Reply

from gateway.provider.call import Calls
from gateway.provider.discovery import Metadata, discover, discovery_urls, read_metadata
from gateway.provider.errors import DeadlineError, ProviderError, UnusableResponseError

ISSUER = "https://sso.example.com/realms/demo"
INTROSPECTION = f"{ISSUER}/introspect"


@pytest.fixture
async def calls():
    made = Calls(timeout_s=0.5, max_concurrency=4)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        (
            "https://a/realms/x",
            (
                "https://a/realms/x/.well-known/openid-configuration",
                "https://a/.well-known/oauth-authorization-server/realms/x",
            ),
        ),
        (
            "https://a/x/",
            ("https://a/x/.well-known/openid-configuration", "https://a/.well-known/oauth-authorization-server/x"),
        ),
        (
            "https://a:8443",
            (
                "https://a:8443/.well-known/openid-configuration",
                "https://a:8443/.well-known/oauth-authorization-server",
            ),
        ),
    ],
)
def test_the_two_places_of_an_issuer(issuer, urls):
    assert discovery_urls(issuer) == urls


def test_an_issuer_with_a_query_has_no_place():
    with pytest.raises(UnusableResponseError, match="query"):
        discovery_urls("https://a/x?tenant=1")


def test_the_part_that_is_used_is_read():
    document = {"issuer": ISSUER, "introspection_endpoint": INTROSPECTION, "token_endpoint": None, "jwks_uri": 7}
    assert read_metadata(document, ISSUER, "introspection_endpoint") == Metadata(ISSUER, INTROSPECTION, None)


@pytest.mark.parametrize("named", [f"{ISSUER}/", ISSUER.upper(), "https://evil.example", None, ["x"], 1])
def test_another_issuers_document_is_not_believed(named):
    document = {"issuer": named, "introspection_endpoint": INTROSPECTION}
    with pytest.raises(UnusableResponseError, match="issuer"):
        read_metadata(document, ISSUER, "introspection_endpoint")


@pytest.mark.parametrize(
    "endpoint",
    [
        "/introspect",
        "sso.example.com/introspect",
        "ftp://sso.example.com/",
        "file:///etc/passwd",
        "https://",
        "https://user:secret@sso.example.com/",
        "https://sso.example.com/#x",
        "https://sso.example.com/\r\nX: y",
        7,
        ["https://sso.example.com/introspect"],
    ],
)
def test_an_endpoint_that_is_not_a_url_is_not_called(endpoint):
    document = {"issuer": ISSUER, "introspection_endpoint": endpoint}
    with pytest.raises(UnusableResponseError, match="introspection_endpoint"):
        read_metadata(document, ISSUER, "introspection_endpoint")


def test_https_does_not_lead_to_clear_text():
    document = {"issuer": ISSUER, "introspection_endpoint": INTROSPECTION, "token_endpoint": "http://sso.example.com/t"}
    with pytest.raises(UnusableResponseError, match="not https"):
        read_metadata(document, ISSUER, "introspection_endpoint")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_except_on_this_machine(host):
    document = {"issuer": ISSUER, "introspection_endpoint": f"http://{host}:8081/introspect"}
    assert read_metadata(document, ISSUER, "introspection_endpoint").introspection_endpoint is not None


@pytest.mark.parametrize("document", [[], "x", None, 1])
def test_a_document_that_is_not_an_object(document):
    with pytest.raises(UnusableResponseError, match="not an object"):
        read_metadata(document, ISSUER, "introspection_endpoint")


async def test_openid_configuration_is_asked_first(calls, scripted):
    scripted.discovery = scripted.metadata()
    found = await discover(calls, scripted.issuer, "introspection_endpoint")
    assert found.introspection_endpoint == scripted.introspection_endpoint
    assert [call.path for call in scripted.calls] == ["/realms/test/.well-known/openid-configuration"]
    assert scripted.calls[0].method == "GET"
    assert scripted.calls[0].header("Authorization") is None


@pytest.mark.parametrize(
    "at_first",
    [Reply(404, {}), Reply(500, {}), Reply(200, body=b"<html>"), {"issuer": "ISSUER"}, b"[]"],
    ids=["missing", "failing", "a page", "without the endpoint", "a list"],
)
async def test_then_the_place_of_rfc_8414(calls, scripted, at_first):
    if isinstance(at_first, dict):
        at_first = {"issuer": scripted.issuer}
    scripted.discovery = lambda call: at_first if "openid" in call.path else scripted.metadata()
    found = await discover(calls, scripted.issuer, "introspection_endpoint")
    assert found.introspection_endpoint == scripted.introspection_endpoint
    assert scripted.calls[1].path == "/.well-known/oauth-authorization-server/realms/test"


async def test_a_wrong_issuer_at_the_first_place_ends_it(calls, scripted):
    other = scripted.metadata(issuer="https://evil.example")
    scripted.discovery = lambda call: other if "openid" in call.path else scripted.metadata()
    with pytest.raises(UnusableResponseError, match="evil"):
        await discover(calls, scripted.issuer, "introspection_endpoint")
    assert len(scripted.calls) == 1


async def test_no_introspection_endpoint_anywhere_says_what_to_write(calls, scripted):
    scripted.discovery = scripted.metadata(introspection_endpoint=None)
    with pytest.raises(
        UnusableResponseError, match="write introspection_endpoint into the configuration, or validation: jwt"
    ):
        await discover(calls, scripted.issuer, "introspection_endpoint")


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.REDIRECT, Fault.ENDLESS_BODY, Fault.GZIP_BOMB, Fault.HTML])
async def test_a_broken_answer_is_an_error(calls, scripted, fault):
    scripted.fault = fault
    with pytest.raises(ProviderError):
        await discover(calls, scripted.issuer, "introspection_endpoint")


async def test_a_slow_one_too(calls, scripted):
    scripted.fault = Fault.DRIP
    with pytest.raises(DeadlineError):
        await discover(calls, scripted.issuer, "introspection_endpoint")
