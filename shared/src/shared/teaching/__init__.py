"""The teaching kit: an assignment as notebooks and packages for students, and safe grading with partial credit.

A task package has its assignment in `<task>/assignment/`: `edition.py` (the assignment with its solution),
`checks.py` (what is graded), `mutants.yaml` (classic mistakes, with the points and messages they must get). Everything
else is here.

Read in this order: `edition` (the source format), `handout` (what students and teachers get), `worker` and `sandbox`
(how student code is run), `student` (how checks talk to it), `assignment` (points), `grade` (a whole class).
"""
