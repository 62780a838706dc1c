"""Configuration files into validated settings, for every command."""
