import sys

import requests

url, token = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}"}
with requests.Session() as client:
    client.trust_env = False
    client.headers.update(headers)
    for page in range(1, 6):
        client.get(f"{url}/api/orders", params={"page": page})
    client.post(f"{url}/api/orders", json={"item": 7})
    client.post(f"{url}/api/orders", json={"item": 8})
    client.put(f"{url}/api/orders/7", json={"item": 8})
    client.patch(f"{url}/api/orders/7", json={"count": 2})
    client.delete(f"{url}/api/orders/7")
