"""``tar cf`` of trees of 1,000, 10,000 and 100,000 small files."""

from bench import trees

QUESTION = trees.question("tar cf", trees.tar, order=130)
