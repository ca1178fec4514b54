"""Rows of memory that wait for a reset to be replaced by spare ones."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("rows", "nvmlDeviceGetRemappedRows")
