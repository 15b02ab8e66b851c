import pytest

from gateway.provider.retry_after import RETRY_AFTER_MAX_S, parse_retry_after_s

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("7", 7),
        ("9999999999", RETRY_AFTER_MAX_S),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2015 07:27:30 GMT", 0),  # gone by
        ("Wed, 21 Oct 2015 07:28:30 -0000", 30),  # no zone is GMT
        ("Thu, 22 Oct 2099 07:28:00 GMT", RETRY_AFTER_MAX_S),
        ("Wed Oct 21 07:28:30 2015", 30),  # asctime
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("99999999999", None),  # too many digits to be meant
        ("Wed, 99 Oct 2015 07:28:30 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:30 GMT", None),  # no year
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),  # gone by, before the first moment there is
        ("Wed, 21 Oct 2015 07:28:30 GMT" + " " * 100, None),
    ],
)
def test_seconds_or_a_date_within_bounds(value, seconds):
    assert parse_retry_after_s(value, NOW) == seconds
