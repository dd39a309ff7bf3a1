# The whole list of what can be done here; `make` alone prints it. The work itself is in tools/.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench lock install
ARGS ?=
T ?=

help:            ## this list
	@sed -n 's/^\([a-zA-Z-]*\)\(NAME\)\{0,1\}:.*##/make \1\2 /p' Makefile
	@echo "make proof-NAME       one long campaign: $$(ls tests/proof | sed -n 's/^campaign_\(.*\)\.py$$/\1/p' | tr '_\n' '- ')"

demo:            ## a simulated site, the gateway and its console; ARGS="--for 40" ends it by itself
	@tools/setup demo
	@exec .venv/bin/ecosentry demo $(ARGS)

test:            ## everything that is checked at every change, T=WORD only the tests of that name
	@tools/setup test
	@exec tools/test '$(T)' $(ARGS)

check:           ## ruff, mypy and the one-way rule between the packages, in seconds
	@tools/setup test
	@exec .venv/bin/python -m pytest -q tests/test_house.py -k "clean or typed or one_way" $(ARGS)

bench:           ## how fast, how big: ratios within one run; ARGS="--write" keeps the figures
	@tools/setup test
	@exec .venv/bin/python benchmarks/run.py $(ARGS)

proof-%:
	@tools/setup test
	@exec .venv/bin/python tests/proof/run.py '$*' $(ARGS)

lock:            ## resolve the requirements anew and write the two lock files
	@exec tools/lock $(ARGS)

install:         ## (root) /opt/ecosentry, the command and the service, not started; DESTDIR=DIR for packagers
	@exec tools/install
