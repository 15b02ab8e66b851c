"""Connections to backends: kept alive in a pool for each backend, one exchange at a time on each.

aiohttp's client costs several times what all the rest of a forwarded request does, and has no place for what a proxy
owes: interim responses passed on, bytes that nobody asked for seen, nothing repeated by itself. So they are ours:
`client` finds or opens one, `connection` speaks HTTP/1.1 on it, `pool` keeps it.
"""
