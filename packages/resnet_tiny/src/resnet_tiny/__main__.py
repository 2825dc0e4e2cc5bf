"""`python -m resnet_tiny` is the `resnet-tiny` command."""

from resnet_tiny.cli import main

raise SystemExit(main())
