"""The text of `gateway demo`: the addresses, and the commands to paste, in the order of the walk-through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.demo.places import Places
from gateway.demo.realm import REALM
from gateway.demo.settings import ADMIN_TOKEN, TTL_S

PROTOCOL = f"realms/{REALM}/protocol/openid-connect"


@dataclass(frozen=True, slots=True)
class Paste:
    """Holds one thing to try: what it shows, and the shell lines that show it."""

    shows: str
    command: str

    def says(self, number: int) -> str:
        """A shell line that says what the next command shows.

        It is not a comment: by default an interactive zsh takes `#` for a command, and an apostrophe behind it for the
        beginning of a quotation.
        """
        return f'echo; echo "{number}. {self.shows}"'


def addresses(places: Places) -> Iterator[tuple[str, str, str]]:
    """Name, address and meaning of each part."""
    if places.proxy is None:
        yield "gateway", places.gateway_url, "routes /public/**, and /orders/** for those who may"
    else:
        yield places.proxy, places.gateway_url, "asks the gateway about each request, and forwards what it allows"
    yield "admin", places.admin_url, f"health, metrics, routes; its token is {ADMIN_TOKEN}"
    yield "provider", places.provider_url, "knows alice, who may read and write orders, and bob, who may not"
    yield "backend", places.backend_url, "answers with the request that reached it"


def pastes(places: Places) -> tuple[Paste, ...]:
    gateway, admin, provider = places.gateway_url, places.admin_url, f"{places.provider_url}/{PROTOCOL}"
    as_alice = f'curl -s -H "Authorization: Bearer $ALICE" {gateway}/orders/7'
    as_admin = f'-H "Authorization: Bearer {ADMIN_TOKEN}"'
    return (
        Paste("Without a token: 401.", f"curl -i {gateway}/orders/7"),
        Paste(
            "A token for alice, from the provider's token endpoint.",
            'token() { curl -s -d "grant_type=password&client_id=demo-app&username=$1&password=$1" \\\n'
            f"  {provider}/token |\n"
            "  python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'; }\n"
            "ALICE=$(token alice)",
        ),
        Paste("With it: the backend reads who is calling in X-User-Id and its kin.", as_alice),
        Paste(
            "Forged headers are gone, in every spelling.",
            f"{as_alice} \\\n  -H 'X-User-Name: mallory' -H 'x_user_id: mallory'",
        ),
        Paste(
            "bob's token has no orders:read: 403.",
            f'BOB=$(token bob)\ncurl -i -H "Authorization: Bearer $BOB" {gateway}/orders/7',
        ),
        Paste(
            "Why, step by step.",
            f"curl -s {as_admin} {admin}/explain \\\n"
            """  -d '{"method": "GET", "url": "/orders/7", "token": "'$BOB'"}' | python3 -m json.tool""",
        ),
        Paste(
            f"Revoked. Nobody tells the gateway, which asks again after {TTL_S} s, or when it is told to forget.",
            f'curl -s -d "client_id=demo-app&token=$ALICE" {provider}/revoke\n'
            f"""curl -s -w '\\n' -X DELETE {as_admin} {admin}/cache -d '{{"token": "'$ALICE'"}}'\n"""
            f'curl -i -H "Authorization: Bearer $ALICE" {gateway}/orders/7',
        ),
        Paste(
            "What was counted: answers from the cache, and introspections.",
            f"curl -s {admin}/metrics | grep -E '^gateway_(cache_lookups|introspections)_total'",
        ),
    )
