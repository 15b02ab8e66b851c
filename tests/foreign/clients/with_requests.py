import sys

import requests

url, token = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}"}
good = 0
with requests.Session() as session:
    for number in range(100):
        answers = (
            session.get(f"{url}/{number}?page={number}", headers=headers),
            session.post(f"{url}/{number}", json={"number": number}, headers=headers),
            session.put(f"{url}/{number}", data=iter([b"in ", b"chunks"]), headers=headers),
        )
        good += sum(answer.status_code == 200 and answer.text == "hello" for answer in answers)
print(good)
