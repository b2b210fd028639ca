"""``python -m fakeroot_sc``: the command, with this interpreter."""

import os
import sys

from fakeroot_sc.runner import command

if __name__ == "__main__":
    arguments = command(sys.argv[1:])
    os.execv(arguments[0], arguments)
