"use strict";
// An example: values in memory, by PUT and GET. Replace it, package.json and package-lock.json.
const express = require("express");

const values = new Map();
const app = express();
app.disable("x-powered-by");
app.use(express.text({ type: "*/*", limit: "64kb" }));
app.get("/healthz", (request, response) => response.type("text").send("ok\n"));
app.put("/values/:key", (request, response) => {
  values.set(request.params.key, request.body);
  response.sendStatus(204);
});
app.get("/values/:key", (request, response) => {
  const value = values.get(request.params.key);
  if (value === undefined) response.sendStatus(404);
  else response.type("text").send(value);
});

const { HOST = "127.0.0.1", PORT = "8080" } = process.env;
const server = app.listen(Number(PORT), HOST, () => console.log(`listens on ${HOST}:${PORT}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
