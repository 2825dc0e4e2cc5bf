"""The course systems that a handout is also made for: nbgrader, otter-grader, Gradescope."""
