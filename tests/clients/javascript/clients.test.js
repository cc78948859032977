// Microsoft's JavaScript libraries against the emulator: configured, not patched.

import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ConfidentialClientApplication } from "@azure/msal-node";
import { Client, GraphError, PageIterator } from "@microsoft/microsoft-graph-client";

const emulator = process.env.EMULATOR_URL.replace(/\/$/, "");
const receiver = process.env.RECEIVER_URL;
const tenant = "5f1d7a9c-1111-4000-8000-000000000001";
const clientId = "5f1d7a9c-2222-4000-8000-000000000001";
const room = "room-a@contoso.example";
const scopes = ["https://graph.microsoft.com/.default"];

function application(credential) {
  const authority = `${emulator}/${tenant}`;
  const knownAuthorities = [new URL(emulator).host];
  return new ConfidentialClientApplication({
    auth: { clientId, authority, knownAuthorities, ...credential },
  });
}

async function token() {
  const application_ = application({ clientSecret: "demo-secret" });
  const result = await application_.acquireTokenByClientCredential({ scopes });
  return result.accessToken;
}

const graph = Client.init({
  authProvider: (done) => token().then((value) => done(null, value), (error) => done(error, null)),
  baseUrl: `${emulator}/`,
  customHosts: new Set([new URL(emulator).hostname]),
});

test("a wrong secret is named", async () => {
  const wrong = application({ clientSecret: "wrong" });
  await assert.rejects(wrong.acquireTokenByClientCredential({ scopes }), /AADSTS7000215|7000215/);
});

test("a certificate gives a token", async () => {
  const pem = readFileSync(process.env.CLIENT_CERTIFICATE, "utf8");
  const raw = new X509Certificate(pem).raw;
  const thumbprintSha256 = createHash("sha256").update(raw).digest("hex");
  const privateKey = pem.match(/-----BEGIN PRIVATE KEY-----[^]*-----END PRIVATE KEY-----/)[0];
  const signer = application({ clientCertificate: { thumbprintSha256, privateKey } });
  const result = await signer.acquireTokenByClientCredential({ scopes });
  assert.ok(result.accessToken);
});

test("the directory, places and a calendar can be read", async () => {
  const organization = await graph.api("/organization").get();
  assert.equal(organization.value[0].id, tenant);
  const found = await graph
    .api("/users")
    .filter("proxyAddresses/any(p:p eq 'smtp:a@contoso.example')")
    .select(["id", "mail"])
    .get();
  assert.equal(found.value[0].mail, room);
  const calendar = await graph.api(`/users/${room}/calendar`).get();
  assert.equal(calendar.owner.address, room);
});

test("pages are followed to the end", async () => {
  const first = await graph.api("/places/microsoft.graph.room").top(1).get();
  const seen = [];
  const iterator = new PageIterator(graph, first, (place) => seen.push(place.emailAddress) > 0);
  await iterator.iterate();
  assert.deepEqual(seen, [room, "legacy@contoso.example"]);
});

test("a missing user is a GraphError", async () => {
  await assert.rejects(graph.api("/users/nobody@contoso.example").get(), (error) => {
    assert.ok(error instanceof GraphError);
    assert.equal(error.statusCode, 404);
    assert.equal(error.code, "Request_ResourceNotFound");
    return true;
  });
});

test("a subscription can be made, renewed and removed", async () => {
  const until = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString();
  const created = await graph.api("/subscriptions").post({
    changeType: "created,updated,deleted",
    clientState: "state",
    expirationDateTime: until(2),
    lifecycleNotificationUrl: `${receiver}/lifecycle`,
    notificationUrl: `${receiver}/notifications`,
    resource: `users/${room}/events`,
  });
  const path = `/subscriptions/${created.id}`;
  const renewed = await graph.api(path).patch({ expirationDateTime: until(3) });
  assert.equal(renewed.id, created.id);
  await graph.api(path).delete();
  await assert.rejects(graph.api(path).get(), { statusCode: 404 });
});
