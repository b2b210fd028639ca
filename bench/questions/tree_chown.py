"""``chown -R`` of trees of 1,000, 10,000 and 100,000 small files."""

from bench import trees

# The last of all: pseudo never forgets a change, and other questions look at the same trees.
QUESTION = trees.question("chown -R", trees.chown, order=200, against=("fakeroot", "pseudo"))
