"""`python -m sandbox.istioctl`."""

import sys

from sandbox.istioctl.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
