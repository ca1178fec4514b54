"""What holds the clocks down right now."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("reasons", "nvmlDeviceGetCurrentClocksEventReasons")
