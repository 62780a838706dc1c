"""`python -m gridbot.watchdog`."""

import sys

from gridbot.watchdog.command import main

if __name__ == "__main__":
    sys.exit(main())
