"""`server.watch` with real files: a gateway of this process that reads its configuration from the disk."""

import asyncio
import json
import os
import ssl
import time

import pytest
import trustme
from support.running_gateway import RunningGateway, eventually

from gateway.runtime import file_watch
from gateway.runtime.config_source import read_source
from gateway.service import Service

PROMISED_S = 5.0


class WatchingGateway(RunningGateway):
    def __init__(self, path):
        super().__init__(text_of(watch=False))
        self.service = Service(lambda: read_source(str(path)), self.lines)

    def events(self, name):
        return [line for line in self.lines.all if line["event"] == name]

    async def until(self, name, count=1):
        """The `count`-th event of this name, which has to come in the promised time."""
        began = time.monotonic()
        await eventually(lambda: len(self.events(name)) >= count, 20)
        assert time.monotonic() - began < PROMISED_S
        return self.events(name)[count - 1]


def text_of(*, watch=True, answer="one", token="token-of-the-admin-listener", **more):
    route = {"name": "r", "match": {"path": f"/{answer}"}, "backend": "http://127.0.0.1:1", "auth": "none"}
    return json.dumps(
        {
            "server": {"listen": "127.0.0.1:0", "watch": watch, **more},
            "admin": {"listen": "127.0.0.1:0", "token": token},
            "routes": [route],
        }
    )


async def serves(gateway, answer):
    """Whether this is the path of its only route, whose backend is not there."""
    return (await gateway.get(f"/{answer}")).status == 502


@pytest.fixture
async def start():
    running = []

    async def start(path):
        gateway = WatchingGateway(path)
        running.append(gateway)
        await gateway.start()
        await asyncio.sleep(0.3)  # the watch has begun
        return gateway

    yield start
    for gateway in running:
        await gateway.stop()


def replaced(path, text):
    """As editors do it: another file, renamed."""
    other = path.with_name(path.name + ".new")
    other.write_text(text)
    other.rename(path)


@pytest.fixture(params=["events", "no events"])
def with_and_without_events(request, monkeypatch):
    if request.param == "no events":

        def refuse(*_, **__):
            raise OSError(28, "inotify watch limit reached")

        monkeypatch.setattr("watchfiles.awatch", refuse)
    return request.param


async def test_a_changed_configuration_is_reloaded(start, tmp_path, with_and_without_events):
    path = tmp_path / "gateway.yaml"
    path.write_text(text_of())
    gateway = await start(path)
    if with_and_without_events == "no events":
        assert "inotify watch limit" in (await gateway.until("watch_slow"))["reason"]
    replaced(path, text_of(answer="two"))
    await gateway.until("reloaded")
    assert await serves(gateway, "two")
    assert gateway.events("files_changed")[0]["files"] == str(path)
    path.write_text(text_of(answer="three"))  # in place
    await gateway.until("reloaded", 2)
    assert await serves(gateway, "three")


async def test_a_bad_file_leaves_the_old_configuration_and_says_its_line_once(start, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(text_of())
    gateway = await start(path)
    gateway.expects_errors = True
    replaced(path, text_of(answer="two").replace('"routes"', '"ruotes"'))
    refused = await gateway.until("reload_refused")
    assert f"{path}:1: ruotes" in refused["reason"]
    assert await serves(gateway, "one")
    await asyncio.sleep(2 * file_watch._LOOK_EVERY_S)
    assert len(gateway.events("reload_refused")) == 1
    replaced(path, text_of(answer="three"))
    await gateway.until("reloaded")
    assert await serves(gateway, "three")


async def test_without_it_nothing_is_watched(start, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(text_of(watch=False))
    gateway = await start(path)
    assert gateway.service._watch._listening is None
    replaced(path, text_of(watch=True, answer="two"))
    await asyncio.sleep(2 * file_watch._LOOK_EVERY_S)
    assert gateway.events("files_changed") == []


async def test_a_reload_turns_it_on_and_off(start, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(text_of(watch=False))
    gateway = await start(path)
    path.write_text(text_of(watch=True))
    assert await gateway.service.reload()
    replaced(path, text_of(watch=False, answer="two"))
    await gateway.until("reloaded", 2)
    await eventually(lambda: gateway.service._watch._listening is None)
    replaced(path, text_of(watch=True))
    await asyncio.sleep(2 * file_watch._LOOK_EVERY_S)
    assert len(gateway.events("reloaded")) == 2


async def test_a_secret_in_a_file_is_in_force_when_it_changes(start, tmp_path):
    (tmp_path / "token").write_text("an-admin-token-of-before\n")
    path = tmp_path / "gateway.yaml"
    document = json.loads(text_of())
    document["admin"] = {"listen": "127.0.0.1:0", "token_file": "token"}
    path.write_text(json.dumps(document))
    gateway = await start(path)
    replaced(tmp_path / "token", "an-admin-token-of-after\n")
    await gateway.until("reloaded")
    assert gateway.service.config.admin.token.get_secret_value() == "an-admin-token-of-after"
    assert gateway.events("files_changed")[0]["files"] == str(tmp_path / "token")


def folder_of_kubernetes(volume, name, texts):
    """A version of a ConfigMap or Secret, as the kubelet writes it, behind `..data`."""
    (volume / name).mkdir(parents=True)
    for file, text in texts.items():
        (volume / name / file).write_text(text)
        if not (volume / file).is_symlink():
            (volume / file).symlink_to(f"..data/{file}")
    (volume / "..data_tmp").symlink_to(name)
    (volume / "..data_tmp").rename(volume / "..data")


async def test_kubernetes_volumes_are_swapped(start, tmp_path, with_and_without_events):
    config, secrets = tmp_path / "config", tmp_path / "secrets"
    document = json.loads(text_of())
    document["admin"] = {"listen": "127.0.0.1:0", "token_file": str(secrets / "token")}
    folder_of_kubernetes(config, "..2026_01", {"gateway.yaml": json.dumps(document)})
    folder_of_kubernetes(secrets, "..2026_01", {"token": "an-admin-token-of-before"})
    gateway = await start(config / "gateway.yaml")
    document["routes"][0]["match"]["path"] = "/two"
    folder_of_kubernetes(config, "..2026_02", {"gateway.yaml": json.dumps(document)})
    await gateway.until("reloaded")
    assert await serves(gateway, "two")
    folder_of_kubernetes(secrets, "..2026_02", {"token": "an-admin-token-of-after"})
    await gateway.until("reloaded", 2)
    assert gateway.service.config.admin.token.get_secret_value() == "an-admin-token-of-after"


async def test_a_swap_to_the_same_content_reloads_nothing(start, tmp_path):
    folder_of_kubernetes(tmp_path, "..2026_01", {"gateway.yaml": text_of()})
    gateway = await start(tmp_path / "gateway.yaml")
    folder_of_kubernetes(tmp_path, "..2026_02", {"gateway.yaml": text_of()})
    os.utime(tmp_path / "gateway.yaml")
    await asyncio.sleep(2 * file_watch._LOOK_EVERY_S)
    assert gateway.events("files_changed") == []


async def test_a_directory_that_is_swapped_higher_up(start, tmp_path):
    for name in ("blue", "green"):
        (tmp_path / name / "conf").mkdir(parents=True)
        (tmp_path / name / "conf" / "gateway.yaml").write_text(text_of(answer=name))
    (tmp_path / "current").symlink_to("blue")
    gateway = await start(tmp_path / "current" / "conf" / "gateway.yaml")
    (tmp_path / "next").symlink_to("green")
    (tmp_path / "next").rename(tmp_path / "current")
    await gateway.until("reloaded")
    assert await serves(gateway, "green")


async def test_a_file_that_is_away_for_a_moment_is_waited_for(start, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(text_of())
    gateway = await start(path)
    path.unlink()
    await asyncio.sleep(1)
    path.write_text(text_of(answer="two"))
    await gateway.until("reloaded")
    assert gateway.events("reload_refused") == []
    assert await serves(gateway, "two")


async def test_a_file_that_stays_away_is_told_and_its_return_noticed(start, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "gateway.yaml"
    path.write_text(text_of())
    gateway = await start(path)
    gateway.expects_errors = True
    path.unlink()
    folder.rmdir()
    assert "cannot be read" in (await gateway.until("reload_refused"))["reason"]
    assert await serves(gateway, "one")
    folder.mkdir()
    path.write_text(text_of())
    await gateway.until("reloaded")


async def test_many_writes_in_a_row_are_few_reloads(start, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(text_of())
    gateway = await start(path)
    for number in range(30):
        replaced(path, text_of(answer=str(number)))
        await asyncio.sleep(0.05)
    await eventually(lambda: str(gateway.service.config.routes[0].match.path) == "/29")
    assert len(gateway.events("reloaded")) <= 3


async def test_a_new_certificate_is_served(start, tmp_path):
    authority = trustme.CA()
    path = tmp_path / "gateway.yaml"

    def issue(name):
        certificate = authority.issue_cert("localhost", common_name=name)
        replaced(tmp_path / "cert.pem", b"".join(one.bytes() for one in certificate.cert_chain_pems).decode())
        replaced(tmp_path / "key.pem", certificate.private_key_pem.bytes().decode())

    issue("before")
    path.write_text(text_of(tls={"certificate": "cert.pem", "key": "key.pem"}))
    gateway = await start(path)
    issue("after")  # in two steps: in between the key is not that of the certificate
    await gateway.until("reloaded")
    assert gateway.events("reload_refused") == []
    context = ssl.create_default_context()
    authority.configure_trust(context)
    client = await gateway.client(context)
    subject = client.writer.get_extra_info("peercert")["subject"]
    assert (("commonName", "after"),) in subject
