"""``find -size`` over trees of 1,000, 10,000 and 100,000 small files, that writes their owners."""

from bench import trees

QUESTION = trees.question("find -size", trees.find, order=134)
