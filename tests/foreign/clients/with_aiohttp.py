import asyncio
import sys

import aiohttp


async def chunks():
    yield b"in "
    yield b"chunks"


async def main(url: str, token: str) -> int:
    good = 0
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for number in range(100):
            for asked in (
                session.get(f"{url}/{number}?page={number}"),
                session.post(f"{url}/{number}", json={"number": number}),
                session.put(f"{url}/{number}", data=chunks()),
            ):
                async with asked as answer:
                    good += answer.status == 200 and await answer.text() == "hello"
    return good


print(asyncio.run(main(*sys.argv[1:])))
