"""``find | cpio -o`` of trees of 1,000, 10,000 and 100,000 small files."""

from bench import trees

QUESTION = trees.question("find | cpio -o", trees.cpio, order=131)
