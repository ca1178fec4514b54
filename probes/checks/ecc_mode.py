"""Whether memory errors are corrected, and whether that is about to change."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("ecc_mode", "nvmlDeviceGetEccMode")
