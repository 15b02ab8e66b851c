"""What remembered tokens take of a process's memory: `python tests/benchmarks/cache_memory.py [--tokens N]`.

Each answer goes the way of a real one: the bytes of a Keycloak introspection with 25 claims are read, judged to be
facts, and put into the cache of a process that does nothing else. Resident memory is the kernel's figure, before and
after. Exit status 1: more than 150 MiB for 100,000 tokens, or as much for each.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.authn.bearer import Token
from gateway.authn.facts import CLAIM_NAMES, Facts, read_introspection_result
from gateway.cache.key import HmacKeys
from gateway.cache.local import LocalCache
from gateway.http.strict_json import loads
from gateway.introspection.ports import CacheEntry

MIB = 2**20
TOKENS = 100_000
BYTES_PER_TOKEN_MAX = 150 * MIB / TOKENS
ASKED_AT = 1_700_000_000
TTL_S = 3600.0
REALM = "https://sso.example.com/realms/demo"
IDENTITY = b"https://sso.example.com/realms/demo introspect gateway"
LOOKUPS = 2_000
STRETCH = 50
UNITS = {"mib": "MiB", "ms": "ms", "us": "us"}
_FIRST = ["Alice", "Bob", "Carol", "Dieter", "Erika", "Francesca", "Gustavo", "Hannelore", "Ingrid", "Jean"]
_LAST = ["Miller", "Schmidt", "Rossi", "Papadopoulos", "Dubois", "Andersson", "Kowalski", "Nakamura"]
_ROLES = ["auditor", "buyer", "clerk", "manager", "seller"]


def answers(count: int) -> Iterator[bytes]:
    """Every token is another user's, and most users have roles of their own."""
    chance = random.Random(7)

    def uuid() -> str:
        digits = f"{chance.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    for number in range(count):
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        user = f"{first}.{last}.{number}".lower()
        issued_at = ASKED_AT - chance.randrange(300)
        document = {
            "exp": issued_at + 3600,
            "iat": issued_at,
            "auth_time": issued_at - chance.randrange(3600),
            "jti": f"onrtac:{uuid()}",
            "iss": "https://sso.example.com/realms/demo",
            "aud": ["orders-api", "gateway", "account"],
            "sub": uuid(),
            "typ": "Bearer",
            "azp": "demo-app",
            "sid": uuid(),
            "acr": "1",
            "allowed-origins": ["https://app.example.com"],
            "realm_access": {
                "roles": [
                    "default-roles-demo",
                    "offline_access",
                    "uma_authorization",
                    *chance.sample(_ROLES, chance.randint(1, 3)),
                ]
            },
            "resource_access": {
                "orders-api": {"roles": [chance.choice(_ROLES)]},
                "account": {"roles": ["manage-account", "manage-account-links", "view-profile"]},
            },
            "scope": "openid email profile orders:read orders:write",
            "email_verified": True,
            "name": f"{first} {last}",
            "preferred_username": user,
            "given_name": first,
            "family_name": last,
            "email": f"{user}@example.com",
            "client_id": "demo-app",
            "username": user,
            "token_type": "Bearer",
            "active": True,
        }
        yield json.dumps(document, separators=(",", ":")).encode()


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmRSS in /proc/self/status")


def measure(tokens: int) -> dict[str, float]:
    """In this very process, which should have done nothing else before. The units stand at the ends of the names."""
    keys, cache = HmacKeys(b"secret"), LocalCache(tokens)
    remember(keys, LocalCache(1), answers(1), 0)  # what is made once, whatever is remembered
    gc.collect()
    idle_bytes = resident_bytes()
    remember(keys, cache, answers(tokens), 0)
    gc.collect()
    grown_bytes = resident_bytes() - idle_bytes
    started_s = time.process_time()
    gc.collect()
    collected_s = time.process_time() - started_s
    return {
        "tokens": tokens,
        "idle_mib": idle_bytes / MIB,
        "grown by_mib": grown_bytes / MIB,
        "bytes_per_token": grown_bytes / tokens,
        "a full collection_ms": collected_s * 1e3,
        **{f"of it {name}_mib": size / MIB for name, size in breakdown(cache).items()},
        **lookups_us(keys, cache, tokens),
    }


def remember(keys: HmacKeys, cache: LocalCache, bodies: Iterator[bytes], now_s: float) -> None:
    for number, body in enumerate(bodies):
        result = read_introspection_result(loads(body, pool=CLAIM_NAMES), ASKED_AT)
        assert isinstance(result, Facts)
        key = keys.key(IDENTITY, Token(f"token-{number}"))
        cache.put(key, CacheEntry(result, keys.result_tags(REALM, result), now_s, now_s + TTL_S), now_s)


def breakdown(cache: LocalCache) -> dict[str, int]:
    """The size of the objects in bytes, each counted where it is met first; memory that lies fallow is not seen."""
    space, seen = cache._active, set[int]()
    return {
        "keys and their order": size_of(space._packed, seen, 0) + sum(size_of(key, seen) for key in space._packed),
        "keys by tag": size_of(space._tagged, seen),
        "packed": sum(size_of(packed.text, seen) for packed in space._packed.values()),
        "dictionaries to pack with": sum(size_of(packed.dictionary, seen) for packed in space._packed.values()),
        "times and tags of the packed": size_of(list(space._packed.values()), seen),
        f"in use ({len(space._in_use):,})": size_of(space._in_use, seen),
    }


def size_of(value: Any, seen: set[int], depth: int = 16) -> int:
    if id(value) in seen or isinstance(value, type):
        return 0
    seen.add(id(value))
    inner = gc.get_referents(value) if depth else []
    return sys.getsizeof(value) + sum(size_of(each, seen, depth - 1) for each in inner)


def lookups_us(keys: HmacKeys, cache: LocalCache, tokens: int) -> dict[str, float]:
    """How long finding an answer takes, once each entry in use has been packed before."""
    wanted = [keys.key(IDENTITY, Token(f"token-{number}")) for number in range(tokens)]
    pushed_out = 2 * len(cache._active._in_use)
    for key in wanted[:pushed_out]:
        cache.get(key, 1.0)
    packed = wanted[pushed_out : pushed_out + LOOKUPS]
    return {"a lookup, packed_us": each_us(cache, packed), "a lookup, in use_us": each_us(cache, packed[-1:] * LOOKUPS)}


def each_us(cache: LocalCache, wanted: list[bytes]) -> float:
    """Of the fastest stretch: others may be at work on this machine."""
    fastest_s = float("inf")
    for start in range(0, len(wanted), STRETCH):
        stretch = wanted[start : start + STRETCH]
        started_s = time.perf_counter()
        found = [cache.get(key, 1.0) for key in stretch]
        fastest_s = min(fastest_s, (time.perf_counter() - started_s) / len(stretch))
        assert all(found)
    return fastest_s * 1e6


def measured_apart(tokens: int) -> dict[str, float]:
    """By a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--tokens", str(tokens), "--here"], capture_output=True, check=True, timeout=600
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tokens", type=int, default=TOKENS)
    options.add_argument("--here", action="store_true", help="measure this very process, and print JSON")
    chosen = options.parse_args()
    if chosen.here:
        print(json.dumps(measure(chosen.tokens)))
        return 0
    figures = measured_apart(chosen.tokens)
    sizes = [len(body) for body in answers(1_000)]
    print(f"{chosen.tokens:,} tokens, {sum(sizes) // len(sizes)} bytes of JSON each, 25 claims")
    for name, figure in figures.items():
        words, _, unit = name.rpartition("_")
        if unit in UNITS:
            print(f"  {words:40} {figure:9.2f} {UNITS[unit]}")
    print(f"  {'for each token':40} {figures['bytes_per_token']:9.0f} bytes, at most {BYTES_PER_TOKEN_MAX:.0f}")
    return 1 if figures["bytes_per_token"] > BYTES_PER_TOKEN_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
