import asyncio
import contextlib
import inspect
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.values import parse_address
from gateway.observe import snapshots
from gateway.workers import worker_monitor, worker_process
from gateway.workers.instance import InstanceError
from gateway.workers.sockets import bind
from gateway.workers.supervisor import ReloadRefusedError, StartError, Supervisor
from gateway.workers.worker import ConfigSource

FAKE = [sys.executable, str(Path(__file__).parents[1] / "support" / "fake_worker.py")]
SERVED = "gateway_requests_total"
# Three processes start in about a second on a quiet machine; these tests run on busy ones.
SOON_S = 60


def source(text="first"):
    return ConfigSource(text, "gateway.yaml", "/")


@contextlib.asynccontextmanager
async def supervised(count=2, text="first", command=FAKE, **more):
    sockets = bind(parse_address("127.0.0.1:0"), count)
    address = sockets[0].getsockname()
    supervisor = Supervisor(command, sockets, source(text), counting=snapshots, **more)
    try:
        await supervisor.start()
        yield supervisor, address
    finally:
        await supervisor.drain(5)


async def call(address):
    """The pid of the worker that answered, and what it said."""
    async with asyncio.timeout(SOON_S):
        reader, writer = await asyncio.open_connection(*address[:2])
        try:
            pid, _, text = (await reader.read()).decode().partition(" ")
        finally:
            writer.close()
            await writer.wait_closed()
        return int(pid), text


async def call_all(address, count):
    """Calls until `count` workers have answered; their pids and their words."""
    seen = {}
    async with asyncio.timeout(SOON_S):
        while len(seen) < count:
            pid, text = await call(address)
            seen[pid] = text
    return seen


async def until(true):
    async with asyncio.timeout(SOON_S):
        while True:
            outcome = true()
            if await outcome if inspect.isawaitable(outcome) else outcome:
                return
            await asyncio.sleep(0.02)  # what is waited for happens in another process


async def until_served(supervisor, count):
    async def reached():
        return served(await supervisor.snapshot()) >= count

    await until(reached)


def served(snapshot):
    return sum(count for _, count in snapshot["counters"].get(SERVED, []))


def pids_of(supervisor):
    return [worker.pid for worker in supervisor._serving()]


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_every_worker_serves_the_accepted_configuration():
    async with supervised(3) as (supervisor, address):
        assert set((await call_all(address, 3)).values()) == {"first"}
        await until(lambda: supervisor.readiness().ready)
        assert supervisor.readiness().checks == {"provider": "found", "workers": "3/3"}


async def test_one_snapshot_is_the_sum_of_all_workers_and_of_the_supervisor_itself():
    own = {"counters": {SERVED: [[["own", "GET", "200"], 1000]]}}
    async with supervised(2, own_snapshot=lambda: own) as (supervisor, address):
        calls = 0
        seen = set()
        while len(seen) < 2:
            seen.add((await call(address))[0])
            calls += 1
        assert served(await supervisor.snapshot()) == 1000 + calls


async def test_who_was_killed_may_have_been_so_for_lack_of_memory(caplog):
    async with supervised() as (supervisor, _):
        os.kill(pids_of(supervisor)[0], signal.SIGKILL)
        await until(lambda: any(getattr(one, "event", "") == "worker_ended" for one in caplog.records))
    [reason] = [one.fields["reason"] for one in caplog.records if getattr(one, "event", "") == "worker_ended"][:1]
    assert reason.startswith("ended by SIGKILL; where nobody sent that, memory ran out")


async def test_a_worker_that_takes_the_place_of_one_that_died_is_counted():
    restarts = []
    async with supervised(on_restart=lambda: restarts.append(1)) as (supervisor, _):
        assert restarts == []
        os.kill(pids_of(supervisor)[0], signal.SIGKILL)
        await until(lambda: len(restarts) == 1)
    assert len(restarts) == 1  # none takes the place of those that draining ended


async def test_a_killed_worker_is_replaced_and_the_connections_that_waited_for_it_are_served():
    async with supervised(1) as (_, address):
        pid, _ = await call(address)
        os.kill(pid, signal.SIGSTOP)  # so that connections wait in its socket
        calls = [asyncio.create_task(call(address)) for _ in range(20)]
        await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        answers = await asyncio.gather(*calls)
        assert {text for _, text in answers} == {"first"}
        assert pid not in {answering for answering, _ in answers}
        assert not runs(pid)


async def test_what_a_killed_worker_had_counted_is_not_lost_and_nothing_is_counted_twice():
    async with supervised(2) as (supervisor, address):
        pids = await call_all(address, 2)
        before = await supervisor.snapshot()
        victim = next(iter(pids))
        os.kill(victim, signal.SIGKILL)
        await until(lambda: not runs(victim))
        assert served(await supervisor.snapshot()) == served(before)
        # The supervisor hears of the end a moment after everybody else: until then it takes the dead one for serving.
        await until(lambda: victim not in (serving := pids_of(supervisor)) and len(serving) == 2)
        after = await supervisor.snapshot()
        assert served(after) == served(before)
        assert after["gauges"] == before["gauges"]


async def test_a_worker_that_is_told_to_end_answers_first_and_is_replaced():
    async with supervised(1, "slow: 0.5") as (supervisor, address):
        calling = asyncio.create_task(call(address))
        await until_served(supervisor, 1)
        worker = supervisor._serving()[0].pid
        os.kill(worker, signal.SIGTERM)
        pid, text = await calling
        assert (pid, text) == (worker, "slow: 0.5")
        await until(lambda: supervisor._serving() and supervisor._serving()[0].pid != worker)


async def test_a_worker_that_leaves_tells_what_it_counted_last(monkeypatch):
    monkeypatch.setattr(worker_process, "_SNAPSHOT_EVERY_ROUNDS", 1_000_000)  # once at its start, and never again
    async with supervised(1) as (supervisor, address):
        await until(lambda: supervisor._serving()[0].snapshot)
        pid, _ = await call(address)
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not runs(pid) and supervisor._serving())
        assert served(await supervisor.snapshot()) == 1


async def test_a_replacement_gets_the_configuration_that_was_accepted_last():
    async with supervised(1) as (supervisor, address):
        await supervisor.reload(source("second"))
        pid, text = await call(address)
        assert text == "second"
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not runs(pid))
        assert (await call(address))[1] == "second"


async def test_a_reload_reaches_every_worker_and_replaces_none():
    async with supervised(3) as (supervisor, address):
        before = await call_all(address, 3)
        await supervisor.reload(source("second"))
        after = await call_all(address, 3)
        assert after == dict.fromkeys(before, "second")


async def test_a_reload_that_is_refused_changes_nothing():
    async with supervised(2) as (supervisor, address):
        with pytest.raises(ReloadRefusedError, match=r"^line 7$"):
            await supervisor.reload(source("refuse: line 7"))
        assert set((await call_all(address, 2)).values()) == {"first"}


async def test_a_configuration_that_kills_the_first_worker_asked_reaches_no_other():
    async with supervised(2) as (supervisor, address):
        asked = supervisor._serving()[0].pid
        with pytest.raises(ReloadRefusedError, match="did not survive it: the other process is gone"):
            await supervisor.reload(source("die"))
        await until(lambda: not runs(asked) and len(supervisor._serving()) == 2)
        assert set((await call_all(address, 2)).values()) == {"first"}


async def test_a_worker_that_does_not_follow_a_reload_is_replaced():
    async with supervised(2) as (supervisor, address):
        before = await call_all(address, 2)
        last = supervisor._serving()[-1].pid
        text = f"die in {last}"
        await supervisor.reload(source(text))
        await until(lambda: not runs(last))
        after = await call_all(address, 2)
        assert set(after.values()) == {text}
        assert set(before) & set(after) == set(before) - {last}


async def test_a_purge_is_the_sum_of_what_all_workers_dropped():
    async with supervised(3) as (supervisor, _):
        assert await supervisor.purge({"sub": "alice"}) == 3
        assert await supervisor.purge({"sub": "alice"}) == 0
        assert await supervisor.purge({}) == 3


async def test_a_purge_does_not_count_a_worker_that_died_nor_wait_for_it():
    async with supervised(2) as (supervisor, _):
        os.kill(supervisor._serving()[0].pid, signal.SIGKILL)
        async with asyncio.timeout(SOON_S):
            assert await supervisor.purge({}) in {2, 4}  # the replacement may be there already


async def test_a_purge_that_is_not_certain_is_an_error_and_ends_nobody(monkeypatch):
    monkeypatch.setattr(worker_process, "_PURGE_S", 0.2)
    async with supervised(2) as (supervisor, _):
        stuck = supervisor._serving()[0].pid
        os.kill(stuck, signal.SIGSTOP)
        with pytest.raises(InstanceError, match=rf"worker {stuck}: no answer to purge"):
            await supervisor.purge({})
        os.kill(stuck, signal.SIGCONT)
        assert runs(stuck)


async def test_one_worker_explains_and_says_what_is_wrong_with_the_question():
    async with supervised(2) as (supervisor, _):
        question = {"method": "GET", "url": "/a", "token": "t"}
        assert await supervisor.explain(question) == {"decision": "allow", "asked": question}
        with pytest.raises(ValueError, match="that is no URL"):
            await supervisor.explain({"method": "GET", "url": "nonsense"})
        with pytest.raises(InstanceError, match="internal error: RuntimeError"):
            await supervisor.explain({"method": "GET", "url": "bug"})


async def test_the_refusals_of_all_workers_are_one_list_with_the_newest_first():
    async with supervised(2) as (supervisor, address):
        pids = await call_all(address, 2)
        found = await supervisor.refusals()
        assert {one["pid"] for one in found} == set(pids)
        assert [one["time"] for one in found] == sorted((one["time"] for one in found), reverse=True)
        assert {one["pid"] for one in supervisor.workers()} == set(pids)
        assert all(one["serving"] for one in supervisor.workers())


async def test_readiness_is_that_of_the_workers_and_says_why_not():
    async with supervised(2, "unready") as (supervisor, _):
        await until(lambda: "the provider is not found" in supervisor.readiness().reasons)
        readiness = supervisor.readiness()
        assert not readiness.ready
        assert readiness.checks["provider"] == "sought"
        await supervisor.reload(source("now"))
        await until(lambda: supervisor.readiness().ready)


async def test_a_worker_that_is_replaced_does_not_take_readiness_away():
    async with supervised(2) as (supervisor, _):
        await until(lambda: supervisor.readiness().ready)
        os.kill(supervisor._serving()[0].pid, signal.SIGKILL)
        await until(lambda: len(supervisor._serving()) == 1)
        assert supervisor.readiness().ready
        assert supervisor.readiness().checks["workers"] == "1/2"


async def test_draining_answers_what_was_begun_and_accepts_no_more():
    async with supervised(2, "slow: 0.5") as (supervisor, address):
        await until(lambda: supervisor.readiness().ready)
        calls = [asyncio.create_task(call(address)) for _ in range(10)]
        await until_served(supervisor, 10)
        draining = asyncio.create_task(supervisor.drain(30))
        await asyncio.sleep(0)
        assert supervisor.readiness().reasons == ("draining",)
        assert {text for _, text in await asyncio.gather(*calls)} == {"slow: 0.5"}
        await draining
        with pytest.raises(ConnectionRefusedError):
            await call(address)
        assert served(await supervisor.snapshot()) == 10
        assert (await supervisor.snapshot())["gauges"] == {}


async def test_lame_ducks_serve_on_and_one_that_dies_is_replaced_by_one():
    async with supervised(2) as (supervisor, address):
        await until(lambda: supervisor.readiness().ready)
        going = asyncio.create_task(supervisor.lame_duck(SOON_S))
        await asyncio.sleep(0)
        assert supervisor.readiness().reasons == ("draining",)
        killed = supervisor._serving()[0].pid
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in [worker.pid for worker in supervisor._serving()])
        await until(lambda: len(supervisor._serving()) == 2)
        await until(lambda: told(address, "first at last"))
        assert not supervisor.readiness().ready
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going


async def told(address, text):
    """Whether both workers say so."""
    return set((await call_all(address, 2)).values()) == {text}


async def test_draining_ends_at_its_deadline_by_killing():
    async with supervised(1, "slow: 600") as (supervisor, address):
        reader, writer = await asyncio.open_connection(*address[:2])
        await until_served(supervisor, 1)
        pid = supervisor._serving()[0].pid
        os.kill(pid, signal.SIGSTOP)  # it cannot even end by itself
        async with asyncio.timeout(SOON_S):
            await supervisor.drain(0.5)
        assert not runs(pid)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_draining_can_be_cut_short():
    async with supervised(2, "slow: 600") as (supervisor, address):
        _, writer = await asyncio.open_connection(*address[:2])
        await until_served(supervisor, 1)
        draining = asyncio.create_task(supervisor.drain(600))
        await asyncio.sleep(0.1)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        async with asyncio.timeout(SOON_S):
            await supervisor.drain(0)
        assert supervisor._workers() == []
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_no_worker_is_replaced_once_draining_began():
    async with supervised(2) as (supervisor, _):
        pids = [worker.pid for worker in supervisor._serving()]
        await supervisor.drain(5)
        assert not any(map(runs, pids))
        assert supervisor._workers() == []


async def test_a_start_at_which_every_worker_fails_is_given_up_with_the_reason():
    with pytest.raises(StartError, match="ended with status 7 before it served"):
        async with supervised(2, command=[*FAKE, "--die-at-once"]):
            pass


async def test_a_configuration_that_no_worker_takes_is_given_up_with_its_words():
    with pytest.raises(StartError, match=r"^routes\[0\]: no$"):
        async with supervised(2, "refuse: routes[0]: no"):
            pass


async def test_a_command_that_does_not_exist_is_a_start_error():
    with pytest.raises(StartError, match="cannot be started: No such file"):
        async with supervised(1, command=["/no/such/program"]):
            pass


async def test_a_worker_that_never_answers_is_given_up_and_killed(monkeypatch):
    monkeypatch.setattr(worker_process, "_CONFIGURE_S", 0.5)
    with pytest.raises(StartError, match="no answer to configure"):
        async with supervised(1, command=[*FAKE, "--mute"]):
            pass


async def test_a_worker_that_serves_and_then_falls_silent_is_killed_and_replaced(monkeypatch):
    for name, seconds in {"_UNRESPONSIVE_S": 0.3, "_READY_S": 0.2, "_ROUND_S": 0.05}.items():
        monkeypatch.setattr(worker_process, name, seconds)
    async with supervised(1) as (_, address):
        pid, _ = await call(address)
        os.kill(pid, signal.SIGSTOP)
        assert (await call(address))[0] != pid
        assert not runs(pid)


async def test_workers_that_die_at_once_are_not_started_in_a_hot_loop(monkeypatch):
    pauses = []

    async def pause(self, seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(worker_monitor.WorkerMonitor, "_pause", pause)
    async with supervised(1) as (supervisor, _):
        supervisor._command = supervisor._monitors[0]._command = (*FAKE, "--die-at-once")
        os.kill(supervisor._serving()[0].pid, signal.SIGKILL)
        await until(lambda: len(pauses) >= 7)
    assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


async def test_a_start_that_is_called_off_leaves_no_process_behind():
    sockets = bind(parse_address("127.0.0.1:0"), 2)
    supervisor = Supervisor([*FAKE, "--mute"], sockets, source(), counting=snapshots)
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: len(supervisor._workers()) == 2)
    pids = [worker.pid for worker in supervisor._workers()]
    await supervisor.drain(0)
    with pytest.raises(StartError):
        await starting
    assert not any(map(runs, pids))


SUPERVISE = """
import asyncio, sys
from gateway.config.values import parse_address
from gateway.observe import snapshots
from gateway.workers.sockets import bind
from gateway.workers.supervisor import Supervisor
from gateway.workers.worker import ConfigSource

async def main():
    sockets = bind(parse_address("127.0.0.1:0"), 2)
    supervisor = Supervisor(sys.argv[1:], sockets, ConfigSource("first", "f", "/"), counting=snapshots)
    await supervisor.start()
    print(*(worker.pid for worker in supervisor._serving()), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def other_supervisor():
    """A supervisor in a process of its own, and the ids of its workers."""
    running = subprocess.Popen([sys.executable, "-c", SUPERVISE, *FAKE], stdout=subprocess.PIPE)
    pids = [int(pid) for pid in running.stdout.readline().split()]
    yield running, pids
    running.kill()
    running.wait()
    running.stdout.close()


async def test_workers_leave_when_the_supervisor_is_killed(other_supervisor):
    running, pids = other_supervisor
    assert len(pids) == 2
    assert all(map(runs, pids))
    running.kill()
    await until(lambda: not any(map(runs, pids)))


async def test_an_interrupt_of_a_terminal_does_not_reach_the_workers(other_supervisor):
    _, pids = other_supervisor
    assert {os.getpgid(pid) for pid in pids}.isdisjoint({os.getpgid(0)})
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
    await asyncio.sleep(0.3)
    assert all(map(runs, pids))


async def test_a_unix_socket_is_served_by_several_workers_and_goes_when_draining(tmp_path):
    path = tmp_path / "g.sock"
    supervisor = Supervisor(FAKE, bind(parse_address(f"unix:{path}"), 2), source(), counting=snapshots)
    await supervisor.start()
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert (await asyncio.wait_for(reader.read(), SOON_S)).endswith(b"first")
        writer.close()
        await writer.wait_closed()
    finally:
        await supervisor.drain(5)
    assert not path.exists()


def test_the_descriptor_of_a_worker_is_a_listening_socket_nobody_else_got():
    (one,) = bind(parse_address("127.0.0.1:0"))
    assert not os.get_inheritable(one.fileno())
    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    one.close()
