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
