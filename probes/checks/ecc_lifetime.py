"""Memory errors that could not be corrected, in the whole life of the board."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("ecc_aggregate", "nvmlDeviceGetTotalEccErrors(uncorrected, aggregate)")
