"""The exchange behind its sockets: server, faults, control, kept state."""
