// A real OpenID provider (npm oidc-provider) on loopback, as told by the JSON file named on the command line:
// {port, modules, client_id, client_secret, redirect_uri, auth_method, in_id_token, accounts: {login: claims}}.
// Any password is right; its own pages ask for login and consent.
const fs = require("fs");
const http = require("http");
const { createRequire } = require("module");
const { pathToFileURL } = require("url");

const config = JSON.parse(fs.readFileSync(process.argv[2]));

function settings() {
  return {
    clients: [{
      client_id: config.client_id, client_secret: config.client_secret, redirect_uris: [config.redirect_uri],
      grant_types: ["authorization_code"], response_types: ["code"],
      token_endpoint_auth_method: config.auth_method, id_token_signed_response_alg: config.alg,
    }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: !config.in_id_token,
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...config.accounts[id] }),
    }),
    cookies: { keys: ["a key for the cookies of a test"] },
    clientAuthMethods: [config.auth_method],
    pkce: { required: () => true },
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256", "EdDSA"] },
    jwks: { keys: config.keys },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
  };
}

async function main() {
  const resolve = createRequire(`${config.modules}/`).resolve;
  const { Provider } = await import(pathToFileURL(resolve("oidc-provider")));
  const issuer = `http://127.0.0.1:${config.port}`;
  const provider = new Provider(issuer, settings());
  provider.on("server_error", (ctx, e) => console.error(e));
  provider.on("grant.error", (ctx, e) => console.error(`grant: ${e.message} ${e.error_detail || ""}`));
  http.createServer(provider.callback()).listen(config.port, "127.0.0.1", () => console.log("listening"));
}

main();
