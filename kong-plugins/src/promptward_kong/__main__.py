"""`python -m promptward_kong`: the same as the `promptward-kong` command."""

import sys

from promptward_kong.cli import main

sys.exit(main())
