import { createRequire } from "node:module";
const { Client } = createRequire(`${process.env.NODE_MODULES}/`)("undici");
const [url, token] = process.argv.slice(2);
const { origin, pathname } = new URL(url);
const client = new Client(origin);
const headers = { authorization: `Bearer ${token}` };
async function* chunks() { yield "in "; yield "chunks"; }
let good = 0;
for (let number = 0; number < 100; number++) {
  const path = `${pathname}/${number}`;
  for (const request of [
    { path: `${path}?page=${number}`, method: "GET", headers },
    { path, method: "POST", headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify({ number }) },
    { path, method: "PUT", headers, body: chunks() },
  ]) {
    const answer = await client.request(request);
    if (answer.statusCode === 200 && await answer.body.text() === "hello") good++;
  }
}
await client.close();
console.log(good);
