// Express: what it answers behind the gateway. Its redirects are paths.
const zlib = require("node:zlib");
const express = require("express");

const app = express();
const trust = process.env.TRUST_PROXY;
app.set("trust proxy", trust ? Number(trust) : false);
const url = (request) => `${request.protocol}://${request.host}${request.originalUrl}`;
const echo = (request, response, bytes = 0) =>
  response.json({ path: request.path, bytes, client: request.ip, url: url(request), headers: request.headers });
app.get("/echo", (request, response) => echo(request, response));
app.post("/upload", express.raw({ type: () => true, limit: "20mb" }), (request, response) =>
  echo(request, response, request.body ? request.body.length : 0));
app.post("/reject", (request, response) => response.status(413).send("too large"));
app.get("/relative", (request, response) => response.redirect("/echo"));
app.get("/cookie", (request, response) => response.set("Set-Cookie", "seen=1; Path=/account").send("set"));
app.get("/file.txt", (request, response) => response.sendFile("file.txt", { root: process.env.FILES }));
app.get("/slash/", (request, response) =>
  request.path === "/slash" ? response.redirect(`http://${request.get("host")}/slash/`) : echo(request, response));
app.get("/away", (request, response) => response.redirect(`http://${request.get("host")}/echo`));
app.get("/text", (request, response) => {
  response.set("Content-Encoding", "gzip").type("text/plain");
  response.send(zlib.gzipSync("a line of text\n".repeat(200)));
});
app.listen(Number(process.argv[2]), "127.0.0.1");
