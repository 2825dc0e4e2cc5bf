"""`python -m imdb_sentiment` is the `imdb-sentiment` command."""

from imdb_sentiment.cli import main

raise SystemExit(main())
