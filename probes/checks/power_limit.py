"""Whether each GPU may draw the power that its board was made for."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("power_limit", "nvmlDeviceGetEnforcedPowerLimit")
