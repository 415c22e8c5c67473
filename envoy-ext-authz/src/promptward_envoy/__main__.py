"""`python -m promptward_envoy`: the same as the `promptward-envoy` command."""

import sys

from promptward_envoy.cli import main

if __name__ == "__main__":
    sys.exit(main())
