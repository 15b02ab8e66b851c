"""Durations and sizes in other notations, and the same value as the file writes it."""

import pytest

from gateway.config.foreign_units import meant_duration, meant_size
from gateway.config.values import parse_duration_s, parse_size_bytes


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1m30s", "90s"), ("5min", "5m"), ("5 minutes", "5m"),
        ("1d", "24h"), (30, "30s"), ("30", "30s"), (1.5, "1500ms"),
        ("PT30S", "30s"), ("P1D", "24h"), ("2 sec", "2s"), ("1.5h", "90m"), ("500msec", "500ms"), ("0", "0s"),
        ("soon", None), ("", None), ("1x", None), ("-5s", None), (True, None), (None, None), ("9" * 30, None),
        ("0.0001ms", None), ("1m 30s x", None),
    ],
)  # fmt: skip
def test_durations_as_others_write_them(written, meant):
    assert meant_duration(written) == meant
    if meant is not None:
        parse_duration_s(meant)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10MB", "10MiB"), ("10m", "10MiB"), ("10 MiB", "10MiB"), ("64k", "64KiB"), ("1Gi", "1GiB"), ("5 bytes", "5B"),
        ("much", None), ("", None), ("10TB", None), (True, None), (None, None),
    ],
)  # fmt: skip
def test_sizes_as_others_write_them(written, meant):
    assert meant_size(written) == meant
    if meant is not None:
        parse_size_bytes(meant)
