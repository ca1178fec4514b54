"""Whether the GPUs rest before the job begins."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("power", "nvmlDeviceGetPowerUsage, nvmlDeviceGetUtilizationRates")
