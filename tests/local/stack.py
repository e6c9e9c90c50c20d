#!/usr/bin/env python3
"""The local stack: a real Kubernetes control plane and a simulated AWS, without containers or an account.

See `stack.py --help`, and the package `stack` beside this file for how it is made.
"""

import sys

sys.dont_write_bytecode = True  # generated files belong into .local, not beside the sources

from stack.cli import main  # noqa: E402  (the package, which Python prefers to this file's own name)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
