"""Verdicts are found once for all who wait, kept to their end, and purged with the facts of their caller."""

from __future__ import annotations

import asyncio

import pytest
from support.obtaining_stage import Stage, grant

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate
from gateway.authn.question import Question
from gateway.grants.obtained import Denied, Granted
from gateway.introspection.tag_purge import purge_everything, purge_of

UNCLEAR = Indeterminate("the token endpoint is away")


async def test_all_who_wait_get_what_one_call_brings_and_it_is_kept() -> None:
    stage = Stage()
    assert stage.obtainer.known(grant()) is None
    found = await asyncio.gather(*(stage.obtainer.obtain(grant()) for _ in range(20)))
    assert {verdict for verdict, _ in found} == {found[0][0]}
    assert isinstance(found[0][0], Granted)
    assert stage.obtainer.known(grant()) == found[0][0]
    assert len(stage.source.calls) == 1
    assert stage.counts.ended == [("exchange", "p", "granted")]


async def test_another_caller_target_or_kind_is_another_request() -> None:
    stage = Stage()
    await stage.obtainer.obtain(grant())
    for other in (grant("bob.1"), grant(audience="b"), grant(kind="permission")):
        assert stage.obtainer.known(other) is None


async def test_that_nobody_can_tell_is_never_kept() -> None:
    stage = Stage()
    stage.source.verdict = UNCLEAR
    assert (await stage.obtainer.obtain(grant()))[0] == UNCLEAR
    stage.source.verdict = Denied("no")
    assert (await stage.obtainer.obtain(grant()))[0] == Denied("no")
    assert stage.obtainer.known(grant()) == Denied("no")
    assert [outcome for _, _, outcome in stage.counts.ended] == ["unavailable", "refused"]


@pytest.mark.parametrize("secrets", [(), (b"first-secret-of-all", b"second-secret")], ids=["one", "two secrets"])
async def test_a_purge_of_any_of_the_callers_tags_takes_what_was_obtained(secrets: tuple[bytes, ...]) -> None:
    for verdict in (Granted("new", 300.0), Denied("no")):
        stage = Stage(*secrets)
        stage.source.verdict = verdict
        one = grant()
        assert one.question is not None
        assert one.facts is not None
        for tag in stage.tags(one.question, one.facts):
            await stage.obtainer.obtain(one)
            assert stage.obtainer.known(one) is not None
            stage.obtainer.forget(purge_of([tag]))
            assert stage.obtainer.known(one) is None
        await stage.obtainer.obtain(one)
        stage.obtainer.forget(purge_of(stage.tags(Question("p", Token("bob.1")), Facts({"sub": "bob"}, 0.0))[:1]))
        assert stage.obtainer.known(one) is not None
        stage.obtainer.forget(purge_everything())
        assert stage.obtainer.known(one) is None


async def test_a_purge_voids_what_is_under_way() -> None:
    stage = Stage()
    stage.source.gate.clear()
    one = grant()
    assert one.question is not None
    assert one.facts is not None
    before = asyncio.ensure_future(stage.obtainer.obtain(one))
    await asyncio.sleep(0.01)
    stage.obtainer.forget(purge_of([stage.tags(one.question, one.facts)[1]]))
    stage.source.verdict = Denied("revoked")
    after = asyncio.ensure_future(stage.obtainer.obtain(one))
    await asyncio.sleep(0.01)
    stage.source.gate.set()
    await before
    assert (await after)[0] == Denied("revoked")
    assert stage.obtainer.known(one) == Denied("revoked")


async def test_many_refusals_push_out_no_token() -> None:
    stage = Stage(max_entries=50)
    await stage.obtainer.obtain(grant())
    stage.source.verdict = Denied("no")
    for number in range(200):
        await stage.obtainer.obtain(grant(kind="permission", audience=f"path-{number}"))
    assert stage.obtainer.known(grant()) is not None


async def test_many_permissions_that_are_granted_push_out_no_token() -> None:
    """A policy may cover as many resources as there are paths, and a yes costs its caller nothing."""
    stage = Stage(max_entries=50)
    await stage.obtainer.obtain(grant())
    stage.source.verdict = Granted()
    for number in range(200):
        await stage.obtainer.obtain(grant(kind="permission", audience=f"path-{number}"))
    assert stage.obtainer.known(grant()) is not None
    assert stage.obtainer.known(grant(kind="permission", audience="path-199")) is not None


async def test_a_verdict_that_changed_is_not_hidden_by_the_one_before() -> None:
    stage = Stage()
    for verdict, expected in ((Granted("new", 300.0), Granted), (Denied("no"), Denied), (Granted("n", 9.0), Granted)):
        stage.source.verdict = verdict
        await stage.obtainer.obtain(grant(), max_age_s=0.0)
        assert isinstance(stage.obtainer.known(grant()), expected)


async def test_a_renewal_that_fails_leaves_what_is_there_and_is_not_tried_at_once_again() -> None:
    stage = Stage(fraction=0.01)
    stage.source.verdict = Granted("new", 4.0)
    await stage.obtainer.obtain(grant())
    await asyncio.sleep(0.1)
    stage.source.verdict = UNCLEAR
    for _ in range(5):
        assert isinstance(stage.obtainer.known(grant()), Granted)
        await asyncio.sleep(0.02)
    assert len(stage.source.calls) == 2
    await stage.obtainer.close(1.0)


async def test_closing_ends_the_renewal_under_way() -> None:
    stage = Stage(fraction=0.01)
    stage.source.verdict = Granted("new", 4.0)
    await stage.obtainer.obtain(grant())
    await asyncio.sleep(0.1)
    stage.source.gate.clear()
    stage.obtainer.known(grant())
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await stage.obtainer.close(0.1)
