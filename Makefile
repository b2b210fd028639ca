# What a developer can do; HACKING.rst says more. Everything runs in .venv, of an installed
# package: `make install` again after each change of a source.
PYTHON = .venv/bin/python
# For instance --user NAME, when root measures: NAME with ids in /etc/subuid has mapped namespaces.
BENCH =

help:
	@echo 'make install   into .venv, from the sources here'
	@echo 'make test      all tests; as root: those for a user, then those for root'
	@echo 'make bench     all questions: writes docs/benchmarks.rst (about 25 minutes, idle machine)'
	@echo 'make trial     the same in some minutes, written nowhere'
	@echo 'make lint      ruff and mypy'
	@echo 'make docs      what is derived from the table of system calls'

.venv:
	/usr/bin/python3 -m venv .venv

install: .venv
	$(PYTHON) -m pip install --quiet '.[test,lint,bench]'

test:
	$(PYTHON) -m pytest -n 2

bench:
	mkdir -p build
	$(PYTHON) -m bench $(BENCH) --report docs/benchmarks.rst --json build/benchmarks.json

trial:
	$(PYTHON) -m bench $(BENCH) --quick

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

docs:
	$(PYTHON) -m fakeroot_sc.syscalls.generate docs docs/syscalls.rst

.PHONY: help install test bench trial lint docs
