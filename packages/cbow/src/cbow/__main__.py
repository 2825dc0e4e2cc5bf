"""`python -m cbow` is the `cbow` command."""

from cbow.cli import main

raise SystemExit(main())
