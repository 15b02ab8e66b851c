const token = "recorded-SlAV32hkKG4hcF8QyzT9vBnJ5mWxR7dLp2Q";
const authorization = `Bearer ${token}`;
const json = { authorization, "content-type": "application/json" };

async function work(api) {
  for (let page = 1; page <= 4; page++) {
    await fetch(`${api}/orders?page=${page}`, { headers: { authorization } });
  }
  await fetch(`${api}/orders`, { method: "POST", headers: json, body: JSON.stringify({ item: 7 }) });
  await fetch(`${api}/orders/7`, { method: "PUT", headers: json, body: JSON.stringify({ item: 8 }) });
  await fetch(`${api}/orders/7`, { method: "PATCH", headers: json, body: JSON.stringify({ count: 2 }) });
  await fetch(`${api}/orders/7`, { method: "DELETE", headers: { authorization } });
}

async function main() {
  await work("/api");
  await work("https://api.example/api");
  const form = new FormData();
  form.append("file", new Blob(["x".repeat(2000)]), "order.txt");
  await fetch("/api/upload", { method: "POST", headers: { authorization }, body: form });
  await fetch("/done");
}

main();
