import asyncio
import shutil
import signal
import socket

import pytest
from support.demonstrated import checked, demonstrated, free_base
from support.needed import missing
from support.served import STOP_WITHIN_S

from gateway.demo.beside_nginx import DemoNginx
from gateway.demo.guide import pastes
from gateway.demo.places import Places

ESCAPE = "\x1b"
STEPS = [
    "1. No token",
    "2. A token from the provider's token endpoint",
    "3. The call: the backend is told who is calling",
    "4. Forged identity headers",
    "5. The same token again: the result comes from the cache",
    "6. A token without the scope",
    "7. A token that is bound to a key",
    "8. A revoked token",
    "9. The metrics",
]


def test_the_check_walks_through_all_steps_and_ends_with_0():
    done = checked(free_base())
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line[:1].isdigit()] == STEPS
    assert len([line for line in lines if line.startswith("   ✓ ")]) == len(STEPS)
    assert lines[-1] == "All 9 steps went as they should."


def test_what_is_shown_in_a_pipe_has_no_escape_codes_and_no_token():
    done = checked(free_base())
    assert ESCAPE not in done.stdout
    assert "eyJ" in done.stdout
    assert not [word for word in done.stdout.split() if word.startswith("eyJ") and len(word) > len("eyJhbG...")]


def test_a_taken_port_ends_it_with_1_and_the_port_in_words():
    base = free_base()
    with socket.create_server(("127.0.0.1", base + 2)):
        done = checked(base)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"provider: cannot listen on 127.0.0.1:{base + 2}: in use by another process" in done.stderr
    assert done.stderr.count("cannot listen") == 1
    assert "--port-base N" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_taken_ports_are_named_at_once():
    base = free_base()
    with socket.create_server(("127.0.0.1", base)), socket.create_server(("127.0.0.1", base + 3)):
        done = checked(base)
    assert f"127.0.0.1:{base}:" in done.stderr
    assert f"127.0.0.1:{base + 3}:" in done.stderr


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_what_to_paste_and_a_signal_ends_it_with_0(stop):
    with demonstrated() as (places, process, lines):
        text = "\n".join(lines)
        assert ESCAPE not in text
        for url in (places.gateway_url, places.admin_url, places.provider_url, places.backend_url):
            assert url in text
        for paste in pastes(places):
            assert paste.command in text
        process.send_signal(stop)
        rest, _ = process.communicate(timeout=STOP_WITHIN_S)
        assert process.returncode == 0
    assert rest.strip() == "Stopped."


def test_nginx_forwards_where_it_is_beside_and_the_same_steps_go_well():
    if shutil.which("nginx") is None and shutil.which("nginx", path="/usr/sbin") is None:
        missing("there is no nginx on this machine")
    done = checked(free_base(), "--beside", "nginx")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "All 9 steps went as they should."
    assert "  nginx     http://" in done.stdout


def test_where_there_is_no_nginx_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("gateway.demo.beside_nginx.shutil.which", lambda *_, **__: None)
    nginx = DemoNginx(Places(proxy="nginx"), tmp_path, ("X-User-Id",))
    with pytest.raises(OSError, match="there is no nginx on this machine; install it, or leave --beside out"):
        asyncio.run(nginx.start())


def test_an_nginx_that_does_not_listen_is_said_to_and_stopped(monkeypatch, tmp_path):
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr("gateway.demo.beside_nginx.shutil.which", lambda *_, **__: str(program))
    monkeypatch.setattr("gateway.demo.beside_nginx._STARTED_WITHIN_S", 0.2)
    nginx = DemoNginx(Places(gateway=free_base(), proxy="nginx"), tmp_path, ("X-User-Id",))

    async def tried() -> int | None:
        with pytest.raises(OSError, match=r"nginx does not listen on 127\.0\.0\.1:[0-9]+ after 0 s"):
            await nginx.start()
        await nginx.stop()
        return nginx._process and nginx._process.returncode

    assert asyncio.run(tried()) == -signal.SIGTERM
