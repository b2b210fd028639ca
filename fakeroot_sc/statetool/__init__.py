"""``fakeroot-sc-state``: looks at states, and carries them from one machine to another."""
