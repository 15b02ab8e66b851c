import sys

import httpx

url, token = sys.argv[1:]
good = 0
with httpx.Client(headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
    for number in range(100):
        answers = (
            client.get(f"{url}/{number}?page={number}"),
            client.post(f"{url}/{number}", json={"number": number}),
            client.put(f"{url}/{number}", content=iter([b"in ", b"chunks"])),
        )
        good += sum(answer.status_code == 200 and answer.text == "hello" for answer in answers)
print(good)
