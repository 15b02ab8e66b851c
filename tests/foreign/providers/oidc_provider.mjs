// oidc-provider (npm): every login is that of `login_hint`, every consent is given. What its library leaves to the
// program that embeds it, such as ending a grant or removing a client, is done by `POST /act/<name>`.
//
// node oidc_provider.mjs PORT LOGOUT_URL, with NODE_MODULES naming the folder that has oidc-provider.
import { generateKeyPairSync } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [port, logoutUrl] = process.argv.slice(2);
const entry = createRequire(join(process.env.NODE_MODULES, "x.js")).resolve("oidc-provider");
const { Provider, errors } = await import(pathToFileURL(entry));

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"; // RFC 8693, which its library leaves to others
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";

const gone = new Set();
const app = (id, more = {}) => ({
  client_id: id,
  client_secret: `secret-of-${id}`,
  redirect_uris: ["https://app.example/back"],
  grant_types: ["authorization_code", "refresh_token", "client_credentials"],
  backchannel_logout_uri: logoutUrl,
  backchannel_logout_session_required: true,
  ...more,
});
const introspecting = (id, more = {}) => ({
  client_id: id,
  client_secret: `secret-of-${id}`.padEnd(id === "by-mac" ? 32 : 0, "-"), // RFC 7518 §3.2
  redirect_uris: [],
  response_types: [],
  grant_types: [],
  ...more,
});
const resourceServer = (resource) => {
  if (resource.startsWith("https://mcp.")) return { scope: "mcp:tools", audience: resource, accessTokenFormat: "opaque" };
  const audience = resource.endsWith("/billing") ? "billing-api" : "orders-api";
  return { scope: "orders:read", audience, accessTokenFormat: resource.includes("opaque") ? "opaque" : "jwt" };
};
const newKey = (alg, type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: "jwk" }), alg, kid: `key-of-${alg}`, use: "sig" };
};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [app("app"), app("app-without-sid", { backchannel_logout_session_required: false }),
    introspecting("gateway", { introspection_signed_response_alg: "RS256", grant_types: [EXCHANGE] }),
    introspecting("another", { introspection_signed_response_alg: "ES256" }),
    introspecting("by-mac", { introspection_signed_response_alg: "HS256" })],
  cookies: { keys: ["k"] },
  jwks: { keys: [newKey("RS256", "rsa", { modulusLength: 2048 }), newKey("ES256", "ec", { namedCurve: "P-256" })] },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: true }, // RFC 9701
    revocation: { enabled: true },
    rpInitiatedLogout: {
      logoutSource: (ctx, form) => { ctx.body = form; },
      postLogoutSuccessSource: (ctx) => { ctx.body = "out"; },
    },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => resourceServer(resource),
    },
  },
  scopes: ["openid", "offline_access", "orders:read"],
  // As it comes, it sends nothing to private networks and loopback.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  enabledJWA: { introspectionSigningAlgValues: ["RS256", "ES256", "HS256"] },
  pkce: { required: () => false },
  issueRefreshToken: () => true,
  findAccount: (_, id) => (gone.has(id) ? undefined : { accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
});

async function interact(ctx) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(ctx.req, ctx.res);
  if (prompt.name === "login") {
    return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: params.login_hint } });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  if (params.resource) grant.addResourceScope(params.resource, resourceServer(params.resource).scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(ctx.req, ctx.res, { consent }, { mergeWithLastSubmission: true });
}

const acts = {
  "end-grant": async (token) => {
    const { grantId } = await provider.AccessToken.find(token);
    await (await provider.Grant.find(grantId)).destroy();
  },
  "end-session": async (token) => {
    const { sessionUid } = await provider.AccessToken.find(token);
    await (await provider.Session.findByUid(sessionUid)).destroy();
  },
  "remove-client": async (token) => provider.Client.adapter.destroy((await provider.AccessToken.find(token)).clientId),
  "remove-user": async (token) => gone.add((await provider.AccessToken.find(token)).accountId),
};

// A token of the same user for the resource that is asked for; a JWT or opaque, as that resource has it.
async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  const subject = await provider.AccessToken.find(params.subject_token ?? "");
  if (!subject?.isValid || params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidGrant("no such token");
  if (!params.resource?.startsWith("https://api.example/")) throw new errors.InvalidTarget("there is no such resource");
  const { accountId } = subject;
  const grant = new provider.Grant({ accountId, clientId: client.clientId }); // the subject's is another client's
  grant.addResourceScope(params.resource, params.scope);
  const grantId = await grant.save();
  const token = new provider.AccessToken({ accountId, client, grantId, gty: "token-exchange", scope: params.scope });
  token.resourceServer = new provider.ResourceServer(params.resource, resourceServer(params.resource));
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    expires_in: token.expiration,
    scope: token.scope,
    token_type: token.tokenType,
  };
}
const taken = ["subject_token", "subject_token_type", "resource", "scope", "requested_token_type"];
provider.registerGrantType(EXCHANGE, exchange, taken);

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith("/interaction/")) {
    ctx.respond = false;
    return interact(ctx);
  }
  if (ctx.path.startsWith("/act/")) {
    await acts[ctx.path.slice(5)](ctx.query.token);
    ctx.status = 204;
    return undefined;
  }
  return next();
});
await provider.Client.adapter.upsert("doomed", app("doomed"));
provider.on("backchannel.error", (_, error) => console.error(String(error), error.cause));
provider.on("server_error", (_, error) => console.error(error));
provider.listen(Number(port), "127.0.0.1");
