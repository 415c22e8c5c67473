"""`python -m promptward_workerd`."""

import sys

from promptward_workerd.cli import main

sys.exit(main())
