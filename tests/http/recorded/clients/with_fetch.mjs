import { calls, headers, url } from "./calls.mjs";
for (const [method, path, body] of calls) {
  await (await fetch(url + path, { method, headers: headers(body), body: body && JSON.stringify(body) })).text();
}
