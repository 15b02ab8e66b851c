"""The listener itself: deadlines, caps, TLS, Unix sockets."""

import asyncio
import datetime as dt
import json
import socket
import ssl

import pytest
import trustme
from support.backend import HANG, Backend, Wait, ok, script
from support.running_gateway import configuration, eventually, provider_settings
from support.wire import BrokenOffError, Client, request

from gateway.http import ordinary
from gateway.proxy import guarded_lane


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

    async def test_one_that_never_said_a_word_has_no_longer_than_a_head(self, serve, backend):
        gateway = await serve(server={"header_timeout": "200ms", "idle_timeout": "1h"})
        async with await gateway.client() as silent, await gateway.client() as used:
            await used.send(request("GET", "/open/x"))
            assert (await used.answer()).status == 200
            assert await silent.rest() == b""
            await asyncio.sleep(0.3)
            await used.send(request("GET", "/open/x"))
            assert (await used.answer()).status == 200

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
    async def test_beyond_the_cap_the_oldest_that_is_idle_makes_room(self, serve, backend):
        go_on = asyncio.Event()
        gateway = await serve(server={"max_connections": 3, "max_connections_per_network": 3})
        busy, idle, last = [await gateway.client() for _ in range(3)]
        backend.answers.append(script(Wait(go_on), ok(b"late")))
        await busy.send(request("GET", "/open/x"))
        await eventually(lambda: len(backend.requests) == 1)
        for client in (idle, last):
            await client.send(request("GET", "/open/x"))
            assert (await client.answer()).status == 200
        async with await gateway.client() as one_too_many:
            await one_too_many.send(request("GET", "/open/x"))
            assert (await one_too_many.answer()).status == 200
            assert await idle.rest() == b""
        await last.send(request("GET", "/open/x"))
        assert (await last.answer()).status == 200
        go_on.set()
        assert (await busy.answer()).body == b"late"

    async def test_where_all_are_at_work_the_new_one_is_closed(self, serve, backend):
        go_on = asyncio.Event()
        gateway = await serve(server={"max_connections": 2, "max_connections_per_network": 2})
        clients = [await gateway.client() for _ in range(2)]
        for client in clients:
            backend.answers.append(script(Wait(go_on), ok(b"late")))
            await client.send(request("GET", "/open/x"))
        await eventually(lambda: len(backend.requests) == 2)
        async with await gateway.client() as one_too_many:
            assert await one_too_many.rest() == b""
        go_on.set()
        for client in clients:
            assert (await client.answer()).body == b"late"
        assert (await gateway.get("/open/x")).status == 200

    async def test_one_network_has_its_share_at_work_and_no_more(self, serve, backend):
        go_on = asyncio.Event()
        gateway = await serve(server={"max_connections": 4, "max_connections_per_network": 2})
        clients = [await gateway.client(source="127.0.0.2") for _ in range(2)]
        for client in clients:
            backend.answers.append(script(Wait(go_on), ok(b"late")))
            await client.send(request("GET", "/open/x"))
        await eventually(lambda: len(backend.requests) == 2)
        async with await gateway.client(source="127.0.0.2") as one_too_many:
            assert await one_too_many.rest() == b""
        async with await gateway.client(source="127.0.0.3") as other:
            await other.send(request("GET", "/open/x"))
            assert (await other.answer()).status == 200
        go_on.set()
        for client in clients:
            assert (await client.answer()).body == b"late"

    async def test_the_clients_of_a_trusted_proxy_are_no_network(self, serve, backend):
        gateway = await serve(server={"max_connections_per_network": 2, "trusted_proxies": ["127.0.0.2/32"]})
        clients = [await gateway.client(source="127.0.0.2") for _ in range(6)]
        for client in clients:
            await client.send(request("GET", "/open/x"))
            assert (await client.answer()).status == 200
        for client in clients:
            await client.send(request("GET", "/open/x"))
            assert (await client.answer()).status == 200

    async def test_a_reload_changes_the_cap_and_the_share(self, serve, backend):
        gateway = await serve(server={"max_connections": 100})
        document = json.loads(gateway.text)
        document["server"]["max_connections_per_network"] = 1
        assert await gateway.reload(json.dumps(document))
        async with await gateway.client() as first, await gateway.client() as second:
            assert await first.rest() == b""
            await second.send(request("GET", "/open/x"))
            assert (await second.answer()).status == 200

    async def test_a_last_answer_that_nobody_takes_ends_with_its_connection(self, serve, backend):
        """Too short to fill what a connection may hold, and longer than what the kernel takes of it."""
        backend.default = script(ok(b"x" * 60_000))
        gateway = await serve(server={"idle_timeout": "500ms"})
        client = await gateway.client(receive_buffer=4096)
        client.writer.transport.pause_reading()
        for _ in range(50):
            client.writer.write(request("GET", "/open/x"))
        client.writer.write(request("GET", "/open/x", "Connection: close"))
        serving = gateway.service._serving._worker._listeners._public._state.shares
        await eventually(lambda: len(serving) == 1)
        await eventually(lambda: len(serving) == 0)

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


class TestUnfinishedHeads:
    async def test_the_rest_of_a_head_is_no_request_of_its_own(self, serve, backend):
        """Begun behind a request that is under way, it goes on after its answer with what looks like another one."""
        go_on = asyncio.Event()
        backend.answers.append(script(Wait(go_on), ok(b"first")))
        gateway = await serve()
        async with await gateway.client() as client:
            begun = b"GET /open/second HTTP/1.1\r\nX-A: "
            await client.send(request("GET", "/open/first", "Origin: https://a.example") + begun)
            await eventually(lambda: len(backend.requests) == 1)
            go_on.set()
            assert (await client.answer()).body == b"first"
            await client.send(request("GET", "/open/third"))
            assert (await client.answer()).status == 200
        assert [one.target for one in backend.requests] == ["/open/first", "/open/second"]

    async def test_a_head_that_began_behind_a_request_has_its_deadline_too(self, serve, backend):
        gateway = await serve(server={"header_timeout": "300ms", "idle_timeout": "1h"})
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x", "Origin: https://a.example") + b"GET /open/x HT")
            assert (await client.answer()).status == 200
            assert (await client.answer()).status == 408

    @pytest.mark.parametrize(
        ("wire", "status"),
        [
            (b"GET /open/x HTTP/1.1\r\n" + b"A:b\r\n" * 10 + b"A", 431),
            (b"GET /open/x HTTP/1.1\r\nA:" + b"b" * 1023, 431),
            (b"GET /" + b"a" * 1024, 414),
        ],
    )
    async def test_too_much_is_refused_before_the_end(self, serve, backend, wire, status):
        gateway = await serve(server={"max_header_bytes": "1KiB", "max_headers": 10, "header_timeout": "1h"})
        async with await gateway.client() as client:
            await client.send(wire[:-1])
            await asyncio.sleep(0.1)
            await client.send(wire[-1:])
            assert (await client.answer()).status == status
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x", "Origin: https://a.example") + wire)
            assert (await client.answer()).status == 200
            assert (await client.answer()).status == status

    @pytest.mark.parametrize("lines", [b"Via:a\r\n" * 37_000, b"A:" + b"b" * 250_000 + b"\r\n"])
    async def test_far_too_much_is_refused_unread_also_where_one_read_brings_it(self, serve, lines, monkeypatch):
        monkeypatch.setattr(ordinary, "read_fields", pytest.fail)
        monkeypatch.setattr(guarded_lane, "fields_of", pytest.fail)
        gateway = await serve()
        async with await gateway.client() as client:
            holders = gateway.service._serving._worker._listeners._public._state.shares.holders
            await eventually(lambda: holders)
            next(iter(holders)).data_received(b"GET /open/x HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
            assert (await client.answer()).code == "headers_too_large"

    async def test_a_standing_connection_is_held_to_the_limits_in_force(self, serve, backend):
        gateway = await serve(server={"max_header_bytes": "1KiB"})
        document = json.loads(gateway.text)
        document["server"]["max_header_bytes"] = "64KiB"
        long = request("GET", "/open/x", "Origin: https://a.example", "X-A: " + "a" * 30_000)
        async with await gateway.client() as client:
            await client.send(request("GET", "/open/x", "Origin: https://a.example"))
            assert (await client.answer()).status == 200
            assert await gateway.reload(json.dumps(document))
            for piece in (long[:20_000], long[20_000:]):
                await client.send(piece)
                await asyncio.sleep(0.1)
            assert (await client.answer()).status == 200

    async def test_where_all_together_are_too_much_the_largest_is_given_up(self, serve, backend):
        gateway = await serve(server={"header_timeout": "1h"})
        heads = gateway.service._serving._worker._listeners._public._state.heads
        heads.bytes_max = 100_000
        small = await gateway.client()
        await small.send(b"GET /open/x HTTP/1.1\r\nHost: a\r\n")
        large = [await gateway.client() for _ in range(10)]
        for number, client in enumerate(large):
            await client.send(b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * (20_000 + number))
        await eventually(lambda: heads.held_bytes > 80_000)
        await asyncio.sleep(0.2)
        assert heads.held_bytes <= 100_000
        assert (await large[-1].answer()).status == 408
        await small.send(b"\r\n")
        assert (await small.answer()).status == 200

    @pytest.mark.parametrize("more", [(), ("Origin: https://a.example",)], ids=["fast lane", "general lane"])
    async def test_what_is_sent_ahead_of_a_response_counts_too(self, serve, backend, more):
        backend.default = lambda _: script(HANG)
        gateway = await serve()
        heads = gateway.service._serving._worker._listeners._public._state.heads
        heads.bytes_max = 100_000
        clients = [await gateway.client() for _ in range(10)]
        for number, client in enumerate(clients, start=1):
            await client.send(request("GET", "/open/x", *more))
            await eventually(lambda wanted=number: len(backend.requests) == wanted)
            await client.send(b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 20_000)
            await eventually(lambda wanted=number: heads.held_bytes > min(wanted, 4) * 20_000)
            assert heads.held_bytes <= 100_000
        await eventually(lambda: sum(client.has_ended for client in clients) == 6)
        for client in clients:
            await client.close()
        await eventually(lambda: heads.held_bytes == 0)

    async def test_where_one_network_fills_the_budget_another_keeps_its_large_head(self, serve, backend):
        gateway = await serve(server={"header_timeout": "1h"})
        heads = gateway.service._serving._worker._listeners._public._state.heads
        heads.bytes_max = 100_000
        victim = await Client.of(gateway.address, source="127.0.0.3")
        await victim.send(b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 15_000)
        attackers = [await Client.of(gateway.address, source="127.0.0.2") for _ in range(60)]
        for client in attackers:
            await client.send(b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 2_000)
        await asyncio.sleep(0.3)
        assert heads.held_bytes <= 100_000
        await victim.send(b"\r\n\r\n")
        assert (await victim.answer()).status == 200
        for client in (victim, *attackers):
            client.writer.close()


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

    async def test_its_peers_are_believed_where_that_is_said(self, serve, backend, tmp_path):
        server = {"listen": f"unix:{tmp_path / 'gateway.sock'}", "trusted_proxies": ["unix"]}
        gateway = await serve(server=server)
        answer = await gateway.get("/open/x", "X-Forwarded-For: 203.0.113.7:50007", "X-Request-Id: theirs")
        assert answer.value("X-Request-Id") == "theirs"
        assert backend.requests[0].value("X-Forwarded-For") == "203.0.113.7"
        assert (await gateway.log_line())["client"] == "203.0.113.7"

    async def test_that_says_nothing_of_peers_over_tcp(self, serve, backend):
        gateway = await serve(server={"trusted_proxies": ["unix"]})
        await gateway.get("/open/x", "X-Forwarded-For: 203.0.113.7")
        assert backend.requests[0].value("X-Forwarded-For") == "127.0.0.1"


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

    async def test_handshakes_count_from_the_first_moment(self, serve, backend, files, trusting):
        gateway = await serve(server={"tls": files.tls(), "max_connections": 3, "max_connections_per_network": 3})
        shares = gateway.service._serving._worker._listeners._public._state.shares
        silent = [await gateway.client() for _ in range(3)]
        await eventually(lambda: len(shares) == 3)
        assert (await over(gateway, trusting))[0].status == 200
        assert await silent[0].rest() == b""
        more = [await gateway.client() for _ in range(50)]
        assert (await over(gateway, trusting))[0].status == 200
        for client in [*silent, *more[:-3]]:
            assert await client.rest() == b""
        assert len(shares) <= 3

    async def test_a_drain_waits_for_no_handshake(self, serve, backend, files):
        gateway = await serve(server={"tls": files.tls()})
        silent = await gateway.client()
        await asyncio.sleep(0.1)
        async with asyncio.timeout(3):
            await gateway.drain(1)
        assert await silent.rest() == b""

    async def test_a_connection_that_waits_as_the_drain_begins_is_answered(self, serve, backend, files, trusting):
        go_on = asyncio.Event()
        backend.answers.append(script(Wait(go_on), ok(b"late")))
        gateway = await serve(server={"tls": files.tls()})
        async with await Client.of(gateway.address, trusting) as busy:
            await busy.send(request("GET", "/open/x"))
            await eventually(lambda: len(backend.requests) == 1)
            address = gateway.address
            late = socket.create_connection(address)
            draining = asyncio.create_task(gateway.drain(5))
            late.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=late, ssl=trusting, server_hostname="localhost")
            client = Client(reader, writer)
            await client.send(request("GET", "/open/y"))
            assert (await client.answer()).status == 200
            go_on.set()
            assert (await busy.answer()).body == b"late"
            await client.close()
            await draining

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

    async def test_a_reload_puts_other_authorities_in_force(self, serve, backend, files, ca, trusting):
        def showing(authority):
            context = ssl.create_default_context()
            ca.configure_trust(context)
            authority.issue_cert("client.example").configure_cert(context)
            return context

        async def is_let_in(context):
            try:
                async with await Client.of(gateway.address, context) as client:
                    await client.send(request("GET", "/open/x"))
                    return (await client.answer()).status == 200
            except (OSError, BrokenOffError):
                return False

        first, second = trustme.CA(), trustme.CA()
        paths = [files.folder / "first.pem", files.folder / "second.pem"]
        first.cert_pem.write_to_path(paths[0])
        second.cert_pem.write_to_path(paths[1])
        gateway = await serve(server={"tls": files.tls()})
        assert await is_let_in(trusting)
        document = json.loads(gateway.text)
        for path, members in ((paths[0], {"first"}), (paths[1], {"second"}), (None, {"first", "second", "nobody"})):
            document["server"]["tls"] = files.tls() if path is None else files.tls(client_ca=str(path))
            assert await gateway.reload(json.dumps(document))
            contexts = {"first": showing(first), "second": showing(second), "nobody": trusting}
            assert {name for name, context in contexts.items() if await is_let_in(context)} == members

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_no_ticket_resumes_past_a_reload(self, serve, backend, files, trusting, version):
        gateway = await serve(server={"tls": files.tls()})
        trusting.minimum_version = trusting.maximum_version = version

        def resumed(session=None):
            with socket.create_connection(gateway.address) as sock:
                sock.settimeout(5)
                with trusting.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
                    tls.sendall(request("GET", "/open/x"))
                    assert tls.recv(1000).startswith(b"HTTP/1.1 200")
                    return tls.session_reused, tls.session

        _, session = await asyncio.to_thread(resumed)
        is_reused, session = await asyncio.to_thread(resumed, session)
        assert is_reused
        assert await gateway.reload()
        is_reused, _ = await asyncio.to_thread(resumed, session)
        assert not is_reused

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
