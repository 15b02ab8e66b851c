from hypothesis import HealthCheck, settings

# How long an example takes, or the making of one, says how busy the machine is, and nothing of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
