const [url, token] = process.argv.slice(2);
const headers = { authorization: `Bearer ${token}` };
async function* chunks() { yield new TextEncoder().encode("in "); yield new TextEncoder().encode("chunks"); }
let good = 0;
for (let number = 0; number < 100; number++) {
  for (const asked of [
    () => fetch(`${url}/${number}?page=${number}`, { headers }),
    () => fetch(`${url}/${number}`, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify({ number }) }),
    () => fetch(`${url}/${number}`, { method: "PUT", headers, body: ReadableStream.from(chunks()), duplex: "half" }),
  ]) {
    const answer = await asked();
    if (answer.status === 200 && await answer.text() === "hello") good++;
  }
}
console.log(good);
