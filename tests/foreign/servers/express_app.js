// Express: what it answers behind the gateway. Its redirects are paths.
const zlib = require("node:zlib");
const express = require("express");

const app = express();
const echo = (request, response) => response.json({ path: request.path, headers: request.headers });
app.get("/echo", echo);
app.get("/slash/", (request, response) =>
  request.path === "/slash" ? response.redirect(`http://${request.get("host")}/slash/`) : echo(request, response));
app.get("/away", (request, response) => response.redirect(`http://${request.get("host")}/echo`));
app.get("/text", (request, response) => {
  response.set("Content-Encoding", "gzip").type("text/plain");
  response.send(zlib.gzipSync("a line of text\n".repeat(200)));
});
app.listen(Number(process.argv[2]), "127.0.0.1");
