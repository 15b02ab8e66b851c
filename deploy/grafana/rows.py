"""What the dashboard shows. Rows are questions, in the order in which a person on duty asks them."""

from __future__ import annotations

from panels import Figure, Graph, Row, quantile

# Other programs have metrics of processes, too.
OF_A_GATEWAY = " * on (job, instance) group_left () gateway_build_info{@}"

PANELS = (
    Row("Is anything wrong?"),
    Figure(
        "Are all instances ready?",
        "min(gateway_ready{@})",
        answer=True,
        about="NO: at least one worker is starting, draining or waits for discovery. GET /health/ready says why.",
    ),
    Figure(
        "Do all providers answer?",
        "min(gateway_provider_up{@})",
        answer=True,
        about="NO: not discovered, or its breaker is not closed. The log says why by discovery, breaker or "
        "provider_failing.",
    ),
    Figure(
        "Is Redis shared?",
        "min(gateway_redis_up{@})",
        answer=True,
        about="- : no Redis is configured. NO: the log says why, by redis_away.",
    ),
    Figure(
        "Requests that fail (5xx)",
        '(sum(rate(gateway_requests_total{@,status=~"5.+"}[@])) or vector(0))'
        " / (sum(rate(gateway_request_duration_seconds_count{@}[@])) > 0 or vector(1))",
        unit="percentunit",
        steps=((None, "green"), (0.01, "orange"), (0.05, "red")),
    ),
    Figure(
        "Slowest 1 % take longer than",
        quantile(0.99, "gateway_request_duration_seconds"),
        unit="s",
        steps=((None, "green"), (1, "orange"), (2.5, "red")),
    ),
    Figure(
        "Next certificate ends in",
        "min(gateway_certificate_expiry_seconds{@}) - time()",
        unit="s",
        steps=((None, "red"), (86400, "orange"), (1209600, "green")),
        about="- : the gateway's configuration names no certificate.",
    ),
    Figure("Requests a second", "sum(rate(gateway_request_duration_seconds_count{@}[@]))", unit="reqps"),
    Figure("Requests under way", "sum(gateway_requests_in_flight{@})"),
    Figure("Client connections", "sum(gateway_connections{@})"),
    Figure(
        "Tokens found in the cache",
        'sum(rate(gateway_cache_lookups_total{@,result=~"hit"}[@]))'
        ' / sum(rate(gateway_cache_lookups_total{@,tier="local"}[@]))',
        unit="percentunit",
    ),
    Figure("Configuration taken", "max(gateway_config_last_reload_seconds{@}) * 1000", unit="dateTimeFromNow"),
    Figure("Instances by version", "count by (version) (gateway_build_info{@})", legend="{{version}}"),
    Row("What do clients see?"),
    Graph(
        "Requests by status (red: 5xx)",
        {"{{status}}": "sum by (status) (rate(gateway_requests_total{@route}[@]))"},
        unit="reqps",
        red="5..",
    ),
    Graph(
        "Requests by route",
        {"{{route}}": "sum by (route) (rate(gateway_request_duration_seconds_count{@route}[@]))"},
        unit="reqps",
    ),
    Graph(
        "Time to answer: half, 95 %, 99 % are faster",
        {
            "half": quantile(0.5, "gateway_request_duration_seconds", chosen="@route"),
            "95 %": quantile(0.95, "gateway_request_duration_seconds", chosen="@route"),
            "99 %": quantile(0.99, "gateway_request_duration_seconds", chosen="@route"),
        },
        unit="s",
        steps=((None, "green"), (2.5, "red")),
        about="WebSockets and event streams count up to the head of their response.",
    ),
    Graph(
        "Requests that the gateway refused, by code",
        {"{{code}}": "sum by (code) (rate(gateway_refusals_total{@route}[@])) > 0"},
        unit="reqps",
        red="introspection_unavailable|bad_gateway|gateway_timeout|internal_error",
        about="bad_gateway and gateway_timeout: a backend. introspection_unavailable: a provider. "
        "rate_limited: made-up tokens. The access log has the reason of each.",
    ),
    Row("Is it a backend?"),
    Graph(
        "Time that backends take: 99 % are faster",
        {"{{route}}": quantile(0.99, "gateway_backend_duration_seconds", "route", "@route")},
        unit="s",
        steps=((None, "green"), (2.5, "red")),
    ),
    Graph(
        "Requests that a backend failed",
        {
            "{{route}} {{code}}": "sum by (route, code)"
            ' (rate(gateway_refusals_total{@route,code=~"bad_gateway|gateway_timeout"}[@]))'
        },
        unit="reqps",
        red=".*",
    ),
    Graph(
        "Backends that are up (1)",
        {"{{backend}} of {{route}}": "min by (route, backend) (gateway_backend_up{@route})"},
        most=1,
    ),
    Graph(
        "Requests to backends that were not answered",
        {
            "{{backend}} of {{route}}: {{outcome}}": "sum by (route, backend, outcome)"
            ' (rate(gateway_backend_requests_total{@route,outcome!="answered"}[@]))'
        },
        unit="reqps",
    ),
    Row("Is it an identity provider?"),
    Graph(
        "Providers that answer (1), by instance",
        {"{{provider}} at {{instance}}": "min by (instance, provider) (gateway_provider_up{@})"},
        most=1,
    ),
    Graph(
        "Breakers: 0 closed, 1 half open, 2 open",
        {
            "{{provider}} at {{instance}}": "max by (instance, provider) (gateway_provider_breaker_state{@})",
            "{{provider}} opened": "sum by (provider, state)"
            ' (increase(gateway_provider_breaker_transitions_total{@,state="open"}[@]))',
        },
        steps=((None, "green"), (1, "orange"), (2, "red")),
    ),
    Graph(
        "Questions to providers, by result (red: no clear result)",
        {"{{provider}} {{outcome}}": "sum by (provider, outcome) (rate(gateway_introspections_total{@}[@]))"},
        unit="reqps",
        red=".*unclear",
    ),
    Graph(
        "Time that providers take: 99 % are faster",
        {"{{provider}}": quantile(0.99, "gateway_introspection_duration_seconds", "provider")},
        unit="s",
    ),
    Graph(
        "Requests decided by facts that were no longer fresh",
        {"{{route}}": "sum by (route) (rate(gateway_stale_answers_total{@route}[@]))"},
        unit="reqps",
        about="A provider is away and stale_if_error bridges it. A revoked token may still work.",
    ),
    Graph(
        "Logouts and revocations that providers sent",
        {
            "{{provider}} {{event}} {{outcome}}": "sum by (provider, event, outcome)"
            " (increase(gateway_security_events_total{@}[@])) > 0"
        },
        red=".*(unclear|turned_away)",
    ),
    Graph(
        "Tokens for backends, by result (red: nobody could say)",
        {
            "exchange {{provider}} {{outcome}}": "sum by (provider, outcome) (rate(gateway_exchanges_total{@}[@]))",
            "own {{provider}} {{outcome}}": "sum by (provider, outcome) (rate(gateway_client_tokens_total{@}[@]))",
        },
        unit="reqps",
        red=".*unavailable",
    ),
    Graph(
        "Permissions asked about, by result (red: nobody could say)",
        {"{{provider}} {{outcome}}": "sum by (provider, outcome) (rate(gateway_permission_questions_total{@}[@]))"},
        unit="reqps",
        red=".*unavailable",
    ),
    Row("Is it the cache or Redis?"),
    Graph(
        "Lookups in the caches (red: Redis failed)",
        {"{{tier}} {{result}}": "sum by (tier, result) (rate(gateway_cache_lookups_total{@}[@]))"},
        unit="ops",
        red=".*error",
    ),
    Graph("Tokens in the caches", {"{{instance}}": "sum by (instance) (gateway_cache_entries{@})"}),
    Graph(
        "Instances that share facts in Redis (1)",
        {"{{instance}}": "min by (instance) (gateway_redis_up{@})"},
        most=1,
    ),
    Graph(
        "Who asks for the whole fleet",
        {"{{outcome}}": "sum by (outcome) (rate(gateway_leases_total{@}[@]))"},
        unit="ops",
        about="held: this instance asked. waited: another one did. lost, unavailable: each asked for itself.",
    ),
    Graph(
        "Facts refreshed before they end",
        {"{{outcome}}": "sum by (outcome) (rate(gateway_refreshes_total{@}[@]))"},
        unit="ops",
    ),
    Row("Is it the gateway itself?"),
    Graph(
        "CPU (1 is a whole core)",
        {"{{instance}}": "rate(process_cpu_seconds_total{@}[@])" + OF_A_GATEWAY},
        width=8,
    ),
    Graph(
        "Memory",
        {"{{instance}}": "process_resident_memory_bytes{@}" + OF_A_GATEWAY},
        unit="bytes",
        width=8,
    ),
    Graph(
        "Open descriptors, of those allowed",
        {"{{instance}}": "process_open_fds{@} / process_max_fds{@}" + OF_A_GATEWAY},
        unit="percentunit",
        width=8,
        steps=((None, "green"), (0.8, "red")),
    ),
    Graph(
        "Workers that died and were replaced",
        {"{{instance}}": "sum by (instance) (increase(gateway_worker_restarts_total{@}[@]))"},
        width=8,
        red=".*",
    ),
    Graph(
        "Lines of the log that were lost",
        {"{{instance}}": "sum by (instance) (increase(gateway_log_lines_dropped_total{@}[@]))"},
        width=8,
        red=".*",
    ),
    Graph(
        "Reloads of the configuration (red: refused)",
        {"{{instance}} {{result}}": "sum by (instance, result) (increase(gateway_config_reloads_total{@}[@]))"},
        width=8,
        red=".*failure",
    ),
    Graph(
        "Running since",
        {"{{instance}}": "time() - process_start_time_seconds{@}" + OF_A_GATEWAY},
        unit="s",
        width=8,
    ),
    Row("Who is over a limit?"),
    Graph(
        "Requests within a limit, and over it",
        {"{{limit}} {{outcome}}": "sum by (limit, outcome) (rate(gateway_limit_requests_total{@}[@]))"},
        unit="reqps",
    ),
    Graph(
        "Instances that count limits alone (1)",
        {"{{instance}}": "max by (instance) (gateway_limits_alone{@})"},
        most=1,
    ),
)
