"""`python -m esim` is the `esim` command."""

from esim.cli import main

raise SystemExit(main())
