"""Memory errors that could not be corrected, since the driver was loaded."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("ecc_volatile", "nvmlDeviceGetTotalEccErrors(uncorrected, volatile)")
