"""`python -m word_lm` is the `word-lm` command."""

from word_lm.cli import main

raise SystemExit(main())
