"""All markets and accounts together, and what becomes of contracts."""
