"""What can be had of a job that was started without us: its logs, its dumps, its control servers."""
