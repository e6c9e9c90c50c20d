#!/usr/bin/env python3
"""What a change costs among many apps: `make bench` builds what this needs, and docs/performance.md explains the figures."""

import sys

from bench.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
