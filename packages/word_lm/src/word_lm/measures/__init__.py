"""Every figure that the task reports, one way of measuring a file."""
