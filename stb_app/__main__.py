"""``python -m stb_app`` is ``stb-app``."""

import sys

from stb_app.main import main

if __name__ == "__main__":
    sys.exit(main())
