"""Connections to backends: kept alive in a pool for each backend, one exchange at a time on each.

aiohttp's client costs several times as much as the rest of a forwarded request. It cannot do what a proxy must: pass
interim responses on, notice bytes that nobody asked for, and never repeat a request on its own. So they are ours:
`client` finds or opens one, `connection` speaks HTTP/1.1 on it, `pool` keeps it.
"""
