"""Many rows at once: columns of records, encoded for the driver and written in one statement."""
