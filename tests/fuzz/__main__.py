"""The command line of the fuzzer. Nothing else: spawned jobs import `run`, not this module."""

import sys

from .run import main

sys.exit(main())
