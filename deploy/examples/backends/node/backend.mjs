// A backend that believes only what the gateway signed. It needs `jose`.
import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { PORT, KEYS, ISSUER, AUDIENCE } = process.env
// Asks again for an unknown kid, but no more often than every 30 s: publish a new key before it signs.
const keys = createRemoteJWKSet(new URL(KEYS))

async function caller(token) {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ['ES256', 'EdDSA'], // never what the token itself says
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ['exp', 'iat'],
  })
  return payload
}

createServer(async (request, response) => {
  let status = 200
  let value
  try {
    value = await caller(request.headers['x-identity-token'] ?? '')
  } catch (error) {
    status = 401
    value = { error: error.message }
  }
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
}).listen(Number(PORT), '127.0.0.1')
