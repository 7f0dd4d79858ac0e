"""`python -m wnexp` is the `wnexp` command."""

import sys

from wnexp.cli import main

sys.exit(main())
