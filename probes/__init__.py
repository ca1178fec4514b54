"""What runs beside the ranks: it looks and records, it never judges."""
