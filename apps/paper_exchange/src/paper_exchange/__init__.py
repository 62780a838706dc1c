"""A local Bybit V5 exchange (REST and WebSocket) with simulated accounts and faults."""
