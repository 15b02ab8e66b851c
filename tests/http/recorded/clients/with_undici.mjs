import { createRequire } from "node:module";
import { calls, headers, url } from "./calls.mjs";
const { Client } = createRequire(`${process.env.NODE_MODULES}/`)("undici");
const client = new Client(url);
for (const [method, path, body] of calls) {
  const answer = await client.request({ method, path, headers: headers(body), body: body && JSON.stringify(body) });
  await answer.body.text();
}
await client.close();
