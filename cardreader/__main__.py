"""``python -m cardreader`` is ``stb-card``."""

import sys

from cardreader.cli import main

if __name__ == "__main__":
    sys.exit(main())
