import asyncio
import sys

import aiohttp

url, token = sys.argv[1:]


async def main() -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client:
        calls = [("GET", f"/api/orders?page={page}", None) for page in range(1, 6)]
        calls += [("POST", "/api/orders", {"item": 7}), ("POST", "/api/orders", {"item": 8})]
        calls += [("PUT", "/api/orders/7", {"item": 8}), ("PATCH", "/api/orders/7", {"count": 2})]
        calls += [("DELETE", "/api/orders/7", None)]
        for method, target, document in calls:
            async with client.request(method, url + target, json=document) as answer:
                await answer.read()


asyncio.run(main())
