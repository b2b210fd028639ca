"""``cp -a`` of trees of 1,000, 10,000 and 100,000 small files, to memory."""

from bench import trees

QUESTION = trees.question("cp -a", trees.cp, order=132)
