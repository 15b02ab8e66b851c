from observe.test_metrics import samples

from gateway.observe.instance_meter import InstanceMeter


def test_restarts_begin_at_zero_and_a_configuration_is_none_until_it_was_taken():
    meter = InstanceMeter()
    found = samples(meter.snapshot())
    assert found["gateway_worker_restarts_total{}"] == 0
    assert "gateway_config_last_reload_seconds{}" not in found
    meter.worker_restarted()
    assert samples(meter.snapshot())["gateway_worker_restarts_total{}"] == 1


def test_the_last_configuration_taken_counts_with_its_certificates():
    meter = InstanceMeter()
    meter.configured(1_700_000_000.0, {"server.tls.certificate": 1_800_000_000.0})
    meter.configured(1_700_000_060.0, {"server.tls.certificate": 1_900_000_000.0})
    found = samples(meter.snapshot())
    assert found["gateway_config_last_reload_seconds{}"] == 1_700_000_060
    assert found['gateway_certificate_expiry_seconds{where="server.tls.certificate"}'] == 1_900_000_000


def test_a_certificate_that_has_ended_is_told_of(caplog):
    InstanceMeter().configured(
        1_000.0, {"server.tls.certificate": 999.0, "routes.a.backend[0].tls.certificate": 1_001.0}
    )
    [line] = caplog.records
    assert (line.event, line.fields["where"]) == ("certificate_ended", "server.tls.certificate")
    assert line.fields["reason"].startswith("it ended at 1970-01-01T00:16:39.000Z, so that no peer trusts it; write")
