"""Whether the driver stays awake while nobody uses a GPU."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("persistence", "nvmlDeviceGetPersistenceMode")
