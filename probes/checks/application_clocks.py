"""Whether the clocks for applications are set below their default."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("application_clocks", "nvmlDeviceGetApplicationsClock")
