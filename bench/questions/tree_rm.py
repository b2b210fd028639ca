"""``rm -r`` of trees of 1,000, 10,000 and 100,000 small files, in memory."""

from bench import trees

QUESTION = trees.question("rm -r", trees.rm, order=135)
