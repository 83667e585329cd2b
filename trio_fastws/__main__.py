"""``python -m trio_fastws``: the same program as ``trio-fastws``."""

import sys

from trio_fastws._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
