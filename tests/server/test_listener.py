"""The listener itself: deadlines, caps, TLS, Unix sockets."""

import asyncio
import datetime as dt
import ssl

import pytest
import trustme
from support.backend import HANG, Backend, script
from support.running_gateway import configuration, eventually, provider_settings
from support.wire import BrokenOffError, Client, request


class TestDeadlines:
    @pytest.mark.parametrize("first", [b"G", b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-A: ", b"\r\n"])
    async def test_a_head_that_stalls_is_a_408_or_a_close(self, serve, backend, first):
        gateway = await serve(server={"header_timeout": "200ms"})
        async with await gateway.client() as client:
            await client.send(first)
            try:
                answer = await client.answer()
            except BrokenOffError:
                return
            assert (answer.status, answer.code) == (408, "request_timeout")
            assert answer.value("Connection") == "close"
            assert await client.rest() == b""
        assert (await gateway.log_line())["code"] == "request_timeout"

    async def test_a_head_that_drips_is_not_waited_for(self, serve, backend):
        gateway = await serve(server={"header_timeout": "300ms"})
        async with await gateway.client() as client:
            wire = request("GET", "/open/x", "X-A: " + "a" * 1000)
            dripping = asyncio.create_task(client.send(wire, piece=1, pause_s=0.02))
            assert (await client.answer()).status == 408
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)
        assert backend.requests == []

    async def test_the_next_head_on_the_connection_has_the_same_deadline(self, serve, backend):
        gateway = await serve(server={"header_timeout": "200ms"})
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x"))
            assert (await client.answer()).status == 200
            await asyncio.sleep(0.4)
            await client.send(request("GET", "/open/x"))
            assert (await client.answer()).status == 200
            await client.send(b"GET /open/x HT")
            assert (await client.answer()).status == 408

    async def test_the_deadline_is_not_the_bodys(self, serve, backend):
        gateway = await serve(server={"header_timeout": "200ms"})
        async with await gateway.client() as client:
            await client.send(request("POST", "/open/x", "Content-Length: 5"))
            await client.send(b"hello", piece=1, pause_s=0.1)
            assert (await client.answer()).status == 200

    async def test_an_idle_connection_is_closed(self, serve, backend):
        gateway = await serve(server={"idle_timeout": "300ms"})
        async with await gateway.client() as fresh, await gateway.client() as used:
            await used.send(request("GET", "/open/x"))
            assert (await used.answer()).status == 200
            assert await fresh.rest() == b""
            assert await used.rest() == b""

    async def test_a_busy_connection_is_not_idle(self, serve, backend):
        backend.default = script(HANG)
        gateway = await serve(server={"idle_timeout": "200ms"}, timeout="700ms")
        assert (await gateway.get("/open/x")).status == 504

    async def test_many_that_stall_leave_room_for_others(self, serve, backend):
        gateway = await serve(server={"header_timeout": "5s"})
        stalled = [await gateway.client() for _ in range(200)]
        for client in stalled:
            await client.send(b"GET /open/x HTTP/1.1\r\nHost: a\r\n")
        assert (await gateway.get("/open/x")).status == 200


class TestConnections:
    async def test_beyond_the_cap_connections_are_closed_and_the_others_served(self, serve, backend):
        gateway = await serve(server={"max_connections": 3})
        clients = [await gateway.client() for _ in range(3)]
        for client in clients:
            await client.send(request("GET", "/open/x"))
            assert (await client.answer()).status == 200
        async with await gateway.client() as one_too_many:
            assert await one_too_many.rest() == b""
        await clients[0].send(request("GET", "/open/x"))
        assert (await clients[0].answer()).status == 200
        await clients[1].close()
        for _ in range(100):
            try:
                assert (await gateway.get("/open/x")).status == 200
                break
            except (BrokenOffError, ConnectionError):
                await asyncio.sleep(0.02)
        else:
            pytest.fail("a connection that ended did not make room")

    async def test_requests_one_after_the_other(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            for number in range(50):
                await client.send(request("GET", f"/open/{number}"))
                assert (await client.answer()).status == 200
        assert [one.target for one in backend.requests] == [f"/open/{number}" for number in range(50)]

    async def test_a_close_that_is_asked_for(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x", "Connection: close") + request("GET", "/open/y"))
            answer = await client.answer()
            assert answer.status in {200, 400}  # the parser may refuse both, for there was nothing to follow
            assert answer.value("Connection") == "close"
            assert await client.rest() == b""
        assert "/open/y" not in [one.target for one in backend.requests]

    async def test_empty_lines_before_a_request_are_passed_over(self, serve, backend):
        gateway = await serve()
        async with await gateway.client() as client:
            for _ in range(2):
                await client.send(b"\r\n" + request("GET", "/open/x"))
                assert (await client.answer()).status == 200


class TestUnixSocket:
    async def test_it_serves_and_is_removed(self, serve, backend, tmp_path):
        path = tmp_path / "gateway.sock"
        gateway = await serve(server={"listen": f"unix:{path}"})
        assert gateway.address == str(path)
        answer = await gateway.get("/api/x", "X-Forwarded-For: 203.0.113.7", token="good")
        assert answer.status == 200
        assert backend.requests[0].value("X-User-Id") == "alice"
        assert "203.0.113.7" not in backend.requests[0].head.decode()
        await gateway.drain(1)
        assert not path.exists()


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


class Files:
    def __init__(self, folder, ca):
        self.folder = folder
        self.ca = ca
        self.issue()
        ca.cert_pem.write_to_path(folder / "ca.pem")

    def issue(self, ca=None, **more):
        certificate = (ca or self.ca).issue_cert("localhost", **more)
        certificate.private_key_pem.write_to_path(self.folder / "key.pem")
        (self.folder / "cert.pem").write_bytes(b"".join(one.bytes() for one in certificate.cert_chain_pems))
        return certificate

    def tls(self, **more):
        return {"certificate": str(self.folder / "cert.pem"), "key": str(self.folder / "key.pem"), **more}


@pytest.fixture
def files(tmp_path, ca):
    return Files(tmp_path, ca)


@pytest.fixture
def trusting(ca):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def over(gateway, context, *lines, target="/api/x"):
    async with await Client.of(gateway.address, context) as client:
        await client.send(request("GET", target, *lines, token="good"))
        answer = await client.answer()
        return answer, client.writer.get_extra_info("peercert"), client.writer.get_extra_info("ssl_object")


class TestTls:
    async def test_it_serves(self, serve, backend, files, trusting):
        gateway = await serve(server={"tls": files.tls()})
        trusting.set_alpn_protocols(["h2", "http/1.1"])
        answer, _, ssl_object = await over(gateway, trusting)
        assert answer.status == 200
        assert ssl_object.selected_alpn_protocol() == "http/1.1"
        assert backend.requests[0].value("X-Forwarded-Proto") == "https"

    async def test_old_versions_are_refused(self, serve, backend, files, ca):
        gateway = await serve(server={"tls": files.tls()})
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca.configure_trust(old)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await over(gateway, old))[0].status == 200

    async def test_plain_http_gets_nothing(self, serve, backend, files):
        gateway = await serve(server={"tls": files.tls()})
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x"))
            assert b"HTTP" not in await client.rest()
        assert backend.requests == []

    async def test_a_handshake_that_stalls_is_closed(self, serve, backend, files):
        gateway = await serve(server={"tls": files.tls(), "header_timeout": "300ms"})
        async with await gateway.client() as client:
            await client.send(b"\x16\x03\x01")
            assert b"HTTP" not in await client.rest()

    async def test_a_client_certificate_is_asked_for(self, serve, backend, files, ca, trusting):
        gateway = await serve(server={"tls": files.tls(client_ca=str(files.folder / "ca.pem"))})
        with pytest.raises((ssl.SSLError, ConnectionError, BrokenOffError)):
            await over(gateway, trusting)
        assert backend.requests == []
        stranger = ssl.create_default_context()
        ca.configure_trust(stranger)
        trustme.CA().issue_cert("client.example").configure_cert(stranger)
        with pytest.raises((ssl.SSLError, ConnectionError, BrokenOffError)):
            await over(gateway, stranger)
        ca.issue_cert("client.example").configure_cert(trusting)
        assert (await over(gateway, trusting))[0].status == 200
        assert len(backend.requests) == 1

    async def test_a_reload_shows_the_new_certificate_and_keeps_connections(self, serve, backend, files, trusting):
        gateway = await serve(server={"tls": files.tls()})
        async with await Client.of(gateway.address, trusting) as kept:
            before = (await over(gateway, trusting))[1]
            files.issue(not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=1234))
            assert await gateway.reload()
            after = (await over(gateway, trusting))[1]
            assert before["serialNumber"] != after["serialNumber"]
            await kept.send(request("GET", "/open/x"))
            assert (await kept.answer()).status == 200

    async def test_a_reload_with_a_broken_certificate_keeps_the_old_one(self, serve, backend, files, trusting):
        gateway = await serve(server={"tls": files.tls()})
        (files.folder / "cert.pem").write_text("no certificate")
        assert not await gateway.reload()
        gateway.expects_errors = True
        assert (await over(gateway, trusting))[0].status == 200

    async def test_a_slowly_read_answer_over_tls(self, serve, backend, files, trusting):
        backend.default = script(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
        gateway = await serve(server={"tls": files.tls()})
        answer, *_ = await over(gateway, trusting)
        assert answer.body == b"x" * 5_000_000

    async def test_a_backend_behind_tls_is_verified(self, serve, provider, ca, monkeypatch):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("localhost").configure_cert(context)
        recording = Backend(context)
        await recording.start()
        routes = [{"name": "r", "match": {"path": "/**"}, "backend": recording.url, "auth": "none"}]
        gateway = await serve(routes)
        answer = await gateway.get("/x")
        assert (answer.status, answer.code) == (502, "bad_gateway")
        assert recording.requests == []
        with ca.cert_pem.tempfile() as authorities:
            monkeypatch.setenv("SSL_CERT_FILE", authorities)
            trusting_gateway = await serve(routes)
            assert (await trusting_gateway.get("/x")).status == 200
        await recording.stop()


async def test_what_a_reload_can_not_change_is_refused(serve, backend, provider, files, trusting):
    gateway = await serve()
    gateway.expects_errors = True
    before = gateway.text
    providers = {"p": provider_settings(provider)}
    routes = [{"name": "r", "match": {"path": "/**"}, "backend": backend.url, "auth": "none"}]
    for server in ({"listen": "127.0.0.1:1"}, {"workers": 2}, {"tls": files.tls()}):
        assert not await gateway.reload(configuration(providers=providers, routes=routes, server=server))
        assert (await gateway.get("/elsewhere")).status == 404
    assert await gateway.reload(before)
    assert await gateway.reload(configuration(providers=providers, routes=routes))
    assert (await gateway.get("/elsewhere")).status == 200
    await eventually(lambda: len(gateway.lines.errors) == 3)
