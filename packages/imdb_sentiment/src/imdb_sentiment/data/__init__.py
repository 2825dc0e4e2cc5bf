"""From files to examples, and the made-up sample."""
