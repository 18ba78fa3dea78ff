import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)  # more make tiny tensors slower, and workers of pytest-xdist compete for cores
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
settings.load_profile("loaded")
