"""Plain restatement of the older bot: the oracle for comparison tests."""
