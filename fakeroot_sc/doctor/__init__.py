"""``fakeroot-sc doctor``: what this machine has of what a run needs, found by trying.

Never imported by a run.
"""
