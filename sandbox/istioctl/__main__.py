"""`python -m sandbox.istioctl`."""

import sys

from sandbox.istioctl.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
