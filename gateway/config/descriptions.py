"""What each key means, its default, its zero and its danger: the words that editors show beside it."""

from __future__ import annotations

DESCRIPTIONS: dict[str, dict[str, str]] = {
    "Config": {
        "server": "Where clients connect, and what one of them may use up.",
        "admin": "The second listener: health, metrics, routes, explain, cache.",
        "providers": "The identity providers that are asked about tokens, by a name of your own.",
        "cache": "How long answers of the providers are remembered, and where they are shared.",
        "events": "Where providers tell what was revoked. Default none: no path is taken and nobody can.",
        "log": "JSON lines on standard output.",
        "defaults": "Any key of a route but name and match, for every route; the route's own keys win.",
        "routes": "What is forwarded where, and what a token must show. The most specific route wins.",
    },
    "Server": {
        "listen": "host:port or unix:/path. Default 0.0.0.0:8080, which everyone who reaches the machine reaches.",
        "workers": "Processes on one port; auto is one per core. Default 1. Not changed by a reload.",
        "tls": "Certificates. Default none: plain HTTP, for a gateway behind something that ends TLS.",
        "trusted_proxies": "Networks believed in X-Forwarded-For, -Proto, -Host, -Port, -Prefix, Forwarded and "
        "X-Request-Id; unix for the peers of a Unix socket. Default nobody. Danger: each of them can speak for every "
        "client.",
        "trusted_headers": "Further headers that trusted proxies may send and nobody else, such as X-Real-IP. Default "
        "none. Danger: a proxy must overwrite each of them in every request, or its clients write them.",
        "proxy_protocol": "Whether each connection begins with a header of the PROXY protocol (version 1 or 2), which "
        "tells the client's address; only from trusted_proxies, and all others are closed. Default false. Not changed "
        "by a reload.",
        "header_timeout": "First byte to the end of the headers. Default 10s; more than 0.",
        "idle_timeout": "How long a connection may wait for its next request. Default 75s; more than 0.",
        "drain_delay": "How long the gateway goes on accepting after SIGTERM, while it is not ready and each response "
        "closes its connection; longer than balancers take to notice. Default 0s: new connections are refused at once.",
        "shutdown_timeout": "How long requests may go on after SIGTERM and drain_delay. Default 30s; 0s cuts them off.",
        "max_header_bytes": "The longest target, and all headers together. Default 32KiB; 1KiB to 16MiB.",
        "max_headers": "The most header lines. Default 100; 1 to 10000.",
        "max_body": "The largest request body, for routes that do not say their own. Default 10MiB; 0 allows none, "
        "unlimited leaves it to the backends.",
        "min_body_rate": "Bytes a second that a request body must bring on the whole, after 5s and while the "
        "backend reads; else 408. Default 240. Danger: 0 lets a body that drips hold a backend connection for ever.",
        "max_connections": "The most client connections of one worker, and the most to each backend. Default 10000.",
        "max_connections_per_network": "The most of them for one IPv4 address or IPv6 /64; a /48 may have half as many "
        "again, trusted_proxies and Unix sockets as many as there are. Default half of them, "
        "but at least 256, or seven eighths where those are fewer.",
        "fast_path": "Whether plain requests are answered without entering aiohttp. Default true; false to compare.",
        "unknown_tokens": "How many tokens that nobody knows one client address may try, per worker; beyond, 429. "
        "null: as many as it likes. Danger: then whoever makes up tokens decides how often the provider is asked.",
    },
    "UnknownTokens": {
        "rate": "Refilled per second. Default 200. A token that turns out active costs nothing.",
        "burst": "At once. Default 1000.",
    },
    "Tls": {
        "certificate": "PEM file: the server's certificate, then those between it and the authority.",
        "key": "PEM file: the certificate's private key, without a passphrase.",
        "client_ca": "PEM file of authorities: clients must show a certificate of one of them. Default: not asked.",
    },
    "Admin": {
        "listen": "host:port or unix:/path. Default 127.0.0.1:9090. Danger: it shows routes and metrics to all.",
        "token": "The bearer token for POST /explain and DELETE /cache, 16 characters at least. Unset or empty: those "
        "are 403.",
        "cors": "Origins whose pages may read the admin listener. Default none.",
    },
    "AdminCors": {"allow_origins": "scheme://host[:port] of each, or *. Default none."},
    "Provider": {
        "issuer": "Its issuer identifier; discovery fills in the endpoints that are not named.",
        "introspection_endpoint": "RFC 7662. Named, it skips discovery.",
        "token_endpoint": "RFC 6749, for gateway token. Default: from discovery.",
        "jwks_uri": "Its public keys (RFC 7517), for events. Default: from discovery.",
        "client_id": "The gateway's own client at the provider.",
        "client_secret": "The client's secret. Better by environment or file than here.",
        "client_auth": "How the client proves itself. Default client_secret_basic.",
        "private_key": "PEM, for private_key_jwt.",
        "private_key_id": "The kid of that key, where the provider knows several. Default none.",
        "timeout": "For a whole call, connecting included. Default 2s; more than 0. Every request with a fresh token "
        "may wait this long.",
        "max_concurrency": "The most calls at a time per worker. Default 64.",
        "max_waiting": "The most questions that wait for one of these calls, per worker, for 10s at most; beyond, 503. "
        "The client network that holds the most gives way. Default 1024; 0: none waits. Danger: with few, one network "
        "can fill them for a moment.",
        "breaker": "When a provider that fails, and does not answer a question of the gateway's own, is left alone. "
        "null: never. Danger: then each request with an unknown "
        "token waits for a provider that is away.",
        "events": "How its events are known, with events: at the top. Default: signed by its keys, for client_id.",
        "leeway": "How far its clock may be ahead when nbf is looked at, never exp; at most 5m. Default: 5s where nbf "
        "is the moment of issue (within 1s of iat), else 0s.",
        "require_token_type": "Whether an active answer without token_type is refused. Some providers call refresh and "
        "ID tokens active as well, and leave it out of those. auto: from the first answer of this provider on that has "
        "one. Default auto. Danger: with false, such a token passes for an access token.",
    },
    "BreakerSettings": {
        "failures": "It opens after so many failed calls in a row. Default 5.",
        "failure_rate": "And when this part of the calls within the window has failed. Default 0.5; up to 1.",
        "window": "Default 10s; more than 0.",
        "minimum_calls": "With fewer calls within the window the rate says nothing. Default 20.",
        "interval": "How long it stays open, and between one trial call and the next. Default 5s; more than 0.",
    },
    "ProviderEvents": {
        "issuer": "The iss of its security event tokens. Default: the provider's issuer.",
        "jwks_uri": "The keys that sign them. Default: the provider's own; needed where issuer is another one.",
        "audience": "One of these must be in aud, of logout tokens too. Default client_id. Name the clients whose "
        "logout URL is the gateway's.",
        "authorization": "What the transmitter of security events sends as Authorization, scheme and all. Default: it "
        "is not looked at, and the signature alone counts.",
    },
    "Cache": {
        "redis": "redis://, rediss://, unix://, redis+sentinel://, redis+cluster:// (and rediss+…). Default none: each "
        "worker remembers for itself.",
        "secret": "For the keys' HMAC and the entries' encryption; required with redis, the same for the whole fleet. "
        "16 characters at least. A list for rotation: the first seals, all open, and purges reach all.",
        "ttl": "How long an active answer is used, never past the token's exp. Default 60s; 0s asks each time. Danger: "
        "for this long a revoked token may still work.",
        "inactive_ttl": "How long an inactive answer is used. Default 10s; 0s asks each time.",
        "max_entries": "The most answers one worker remembers. Default 100000.",
        "timeout": "For one operation of Redis; a slower one is a miss. Default 50ms; more than 0.",
        "refresh_ahead": "The part of its window after which an answer in use is asked for again in the background, so "
        "that hot tokens never wait: 0.8. Default null: at the end, while a request waits. Danger: a token in steady "
        "use costs 1/0.8 times as many calls; more than 0, less than 1.",
        "clock_skew": "How far the clocks of two instances may be apart; beyond, they share nothing. Default 2s; more "
        "than 0. Danger: for so long beyond ttl or max_age, whoever writes to Redis can keep a revoked token working.",
    },
    "Events": {
        "prefix": "The path, on every host, under which POST …/backchannel-logout, POST …/security-events and "
        "Keycloak's POST …/keycloak/k_logout and …/k_push_not_before are answered. Default /.gateway/events.",
        "from": "The networks that events come from; deliveries of other addresses are 403. Default []: everywhere, "
        "for the signature counts. Behind proxies that trusted_proxies does not name, theirs is the address.",
        "repeat_after": "When an eviction is repeated: a provider may tell of a logout before it acts on it itself. "
        "Default [1s, 5s]; [] never.",
    },
    "LogSettings": {
        "level": "The least that is logged. Default info.",
        "access": "A line for each request. Default true.",
    },
    "Route": {
        "name": "Unique; the label in metrics and logs.",
        "match": "Which requests take this route. Default: all.",
        "backend": "http(s)://host[:port][/prefix] or unix:/socket[:/prefix], or a list that takes turns.",
        "strip_prefix": "Taken off the path: its first segments. Default nothing.",
        "rewrite": "The path that the backend gets; {name} and {**} are what match.path matched. Default: as it came.",
        "preserve_host": "Send the client's Host, not the backend's. Default false.",
        "allow_encoded_slash": "Pass %2F on undecoded. Default false: 400. Danger: a backend that decodes it sees "
        "another path than was authorised.",
        "allow_path_parameters": "Pass path parameters (/a;v=1) on. Default false: 400. Routes and policies go by the "
        "path without them. Danger: a backend that reads them can be told there what nobody has authorised.",
        "auth": "What a token must show, or just required, optional or none. Default required.",
        "identity": "How the backend learns who is calling.",
        "authorization": "What the backend gets of the caller's token. Default strip. Danger: with keep, a backend can "
        "act as the caller elsewhere.",
        "request_headers": "Set and removed on the way to the backend.",
        "response_headers": "Set and removed on the way to the client.",
        "cors": "Cross-origin requests, answered by the gateway. Default none: they are ordinary requests.",
        "timeout": "Request sent to the headers of the answer. Default 30s; more than 0.",
        "connect_timeout": "Default 2s; more than 0.",
        "read_timeout": "Between two parts of an answer's body. Default 60s; more than 0.",
        "retries": "How often an idempotent request is sent again when no byte of an answer came. Default 1; 0 to 10. "
        "A connection that was not made costs none: the next backend of the list is asked.",
        "connection_max_age": "A connection to the backend that is older takes no further request, so that its name is "
        "resolved again. Default 5m; more than 0.",
        "on_success": "evict_token: the backend revokes tokens (RFC 7009), and what it takes is forgotten before it is "
        "answered. Default nothing.",
        "max_body": "The largest request body. Default: the server's; 0 allows none, or unlimited.",
    },
    "Match": {
        "host": "api.example.com, or *.example.com for any depth below. Default any.",
        "path": "Segments: a literal, {name} for one of anything, ** at the end for all below. Default /**.",
        "methods": "Default any. GET stands for HEAD too.",
    },
    "Auth": {
        "mode": "required; optional: no token passes without identity, a bad one is 401; none: nobody looks at it. "
        "Default required.",
        "provider": "Who is asked; a list picks by the token's iss. Default: the only provider.",
        "scopes": "All of these must be in scope. Default none.",
        "any_scope": "One of these must be in scope. Default none.",
        "audience": "One of these must be in aud. Default: aud is not looked at. Danger: without it, tokens meant for "
        "other services pass.",
        "issuer": "What iss must be; written out, facts without iss are refused. Default: the provider's.",
        "roles": "All of these: of the realm, of our client, or client:role for another client's. Default none.",
        "claims": "Each claim equals the value, or one of a list, compared with its type, or has "
        "it as an element of a list or as a name in an object; {name} is the path's own.",
        "proof": "Tokens that are bound to a key (cnf), or whose token_type is not Bearer, are good only with a proof, "
        "which is not verified yet: if_bound refuses these; required refuses every token; ignore passes them as if "
        "they were not bound. Default if_bound. Danger: with ignore, who has got hold of a bound token can use it.",
        "max_age": "The oldest answer this route accepts. Default: cache.ttl; 0s asks for every request.",
        "stale_if_error": "How much older the last known answer may be when the provider cannot tell. Default none: "
        "503. Danger: so long after cache.ttl or max_age, a revoked token may still work while the provider is away.",
        "stale_methods": "The methods stale_if_error holds for. Default GET, HEAD, OPTIONS. Danger: what others do "
        "cannot be undone.",
        "streams": "What a WebSocket, an event stream or another open exchange does when its token or its route ends. "
        "Default end. Danger: with keep, whoever holds one open is served after logout, revocation and exp.",
    },
    "IdentitySettings": {"headers": "Header: claim path, or a list of which the first present is sent."},
    "Headers": {"set": "Replaces what is there.", "remove": "In any spelling: letters and digits alone count."},
    "Cors": {
        "allow_origins": "scheme://host[:port] of each, or *.",
        "allow_methods": "Default GET, HEAD, POST.",
        "allow_headers": "Default none; * for any.",
        "expose_headers": "What pages may read of the answer. Default none.",
        "allow_credentials": "Cookies and Authorization of the browser. Default false; never with *.",
        "max_age": "How long a browser remembers a preflight. Default: the browser's own.",
    },
}
