"""The folder in which imported data waits for its use."""
