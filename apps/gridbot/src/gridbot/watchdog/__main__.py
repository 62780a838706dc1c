"""`python -m gridbot.watchdog`."""

import sys

from gridbot.watchdog.watchdog import main

if __name__ == "__main__":
    sys.exit(main())
