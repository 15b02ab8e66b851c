import asyncio
from typing import Any

import pytest

from gateway.provider.errors import FailingError, ProviderError, TokenRefused, UnreachableError, UnusableResponseError
from gateway.provider.own_token import OwnToken


class Endpoint:
    """A token endpoint that gives out `t1`, `t2` and so on, or raises what stands in `answer`."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Any = {"expires_in": 100}
        self.opened = asyncio.Event()
        self.opened.set()

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        await self.opened.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"access_token": f"t{self.asked}", "token_type": "bearer", **self.answer}


class Now:
    s = 1000.0


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def own(endpoint: Endpoint, now: Now) -> OwnToken:
    return OwnToken(endpoint.fetch, lambda: now.s)


async def test_one_fetch_is_for_all_who_wait(own: OwnToken, endpoint: Endpoint) -> None:
    endpoint.opened.clear()
    waiting = [asyncio.create_task(own.get()) for _ in range(50)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()  # whoever leaves does not end it for the others
    endpoint.opened.set()
    assert set(await asyncio.gather(*waiting[1:])) == {"t1"}
    assert await own.get() == "t1"
    assert endpoint.asked == 1


async def test_it_is_renewed_before_its_end_while_the_old_one_serves(
    own: OwnToken, endpoint: Endpoint, now: Now
) -> None:
    assert await own.get() == "t1"
    now.s += 79
    assert await own.get() == "t1"
    assert endpoint.asked == 1
    now.s += 2
    endpoint.opened.clear()
    assert [await own.get() for _ in range(20)] == ["t1"] * 20
    endpoint.opened.set()
    await asyncio.sleep(0.01)
    assert await own.get() == "t2"
    assert endpoint.asked == 2


async def test_nothing_is_used_past_its_end(own: OwnToken, endpoint: Endpoint, now: Now) -> None:
    assert await own.get() == "t1"
    now.s += 100
    assert await own.get() == "t2"


async def test_a_renewal_that_fails_leaves_the_old_one_and_is_not_repeated_at_once(
    own: OwnToken, endpoint: Endpoint, now: Now
) -> None:
    assert await own.get() == "t1"
    now.s += 90
    endpoint.answer = UnreachableError("away")
    for _ in range(10):
        assert await own.get() == "t1"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert endpoint.asked == 2
    now.s += 11
    for _ in range(10):
        with pytest.raises(UnreachableError):
            await own.get()
    assert endpoint.asked == 3


async def test_a_refused_token_is_renewed_once_for_all(own: OwnToken, endpoint: Endpoint, now: Now) -> None:
    refused = await own.get()
    assert await asyncio.gather(*[own.after_refusal(refused) for _ in range(20)]) == ["t2"] * 20
    assert await own.after_refusal(refused) == "t2"  # another question had it renewed
    assert endpoint.asked == 2
    assert [await own.after_refusal("t2") for _ in range(20)] == [None] * 20
    assert endpoint.asked == 2
    now.s += 11
    assert await own.after_refusal("t2") == "t3"


@pytest.mark.parametrize("expires_in", [None, "100", True, -1, 0])
async def test_a_life_that_is_not_told_is_a_minute(
    own: OwnToken, endpoint: Endpoint, now: Now, expires_in: object
) -> None:
    endpoint.answer = {"expires_in": expires_in}
    await own.get()
    now.s += 47
    assert await own.get() == "t1"
    now.s += 13
    assert await own.get() == "t2"


async def test_a_life_that_no_float_can_hold_is_a_day(own: OwnToken, endpoint: Endpoint, now: Now) -> None:
    endpoint.answer = {"expires_in": 10**400}
    await own.get()
    now.s += 86_401
    assert await own.get() == "t2"


@pytest.mark.parametrize(
    "answer", [{"token_type": "DPoP"}, {"token_type": 7}, {"access_token": "a\r\nX: y"}, {"access_token": ""}]
)
async def test_what_is_not_a_bearer_token_is_not_sent(own: OwnToken, endpoint: Endpoint, answer: Any) -> None:
    endpoint.answer = answer
    with pytest.raises(UnusableResponseError):
        await own.get()


async def test_a_refusal_of_the_token_endpoint_is_our_fault_and_not_a_no(own: OwnToken, endpoint: Endpoint) -> None:
    endpoint.answer = TokenRefused("invalid_client", "who is s3cret?", 401)
    with pytest.raises(FailingError) as failed:
        await own.get()
    assert "invalid_client" in failed.value.reason
    assert "s3cret" not in failed.value.reason


async def test_closing_ends_the_fetch(own: OwnToken, endpoint: Endpoint) -> None:
    endpoint.opened.clear()
    waiting = asyncio.create_task(own.get())
    await asyncio.sleep(0.01)
    await own.close()
    with pytest.raises(ProviderError):
        await waiting
    assert "t1" not in repr(own._held)
