import http from "node:http";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
const axios = createRequire(`${process.env.NODE_MODULES}/`)("axios");
const [url, token] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const client = axios.create({ httpAgent: agent, proxy: false, maxRedirects: 0, responseType: "text", headers: { Authorization: `Bearer ${token}` } });
let good = 0;
for (let number = 0; number < 100; number++) {
  for (const asked of [
    () => client.get(`${url}/${number}`, { params: { page: number } }),
    () => client.post(`${url}/${number}`, { number }),
    () => client.put(`${url}/${number}`, Readable.from(["in ", "chunks"])),
  ]) {
    const answer = await asked();
    if (answer.status === 200 && answer.data === "hello") good++;
  }
}
agent.destroy();
console.log(good);
