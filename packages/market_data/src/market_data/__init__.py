"""Market data from files, archives, the store and recordings, as columns of integers."""
