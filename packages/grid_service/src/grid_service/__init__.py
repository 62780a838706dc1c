"""What every daemon needs: logs without secrets, metrics and health, calls beside the loop."""
