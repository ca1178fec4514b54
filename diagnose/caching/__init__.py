"""The compile cache of a job: measured, held against a threshold, carried from a good run to the next."""
