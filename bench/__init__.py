"""Measures fakeroot-sc beside its peers: ``python -m bench``; see README.rst."""
