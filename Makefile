# dltasks: `make help` lists the targets. Everything runs from a checkout with Python >= 3.11 and make.
SHELL := /bin/bash
PYTHON ?= python3
TASKS := cbow esim imdb_sentiment resnet_tiny word_lm
TOOLS := .venv/tools
TOX := $(TOOLS)/bin/tox

# uv reads its own variable where pip reads PIP_FIND_LINKS; set only where the user has set pip's.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
endif

# Pins live in constraints/ only; pip, and uv inside tox, read them from here.
export PIP_CONSTRAINT ?= $(CURDIR)/constraints/cpu.txt
export UV_CONSTRAINT ?= $(PIP_CONSTRAINT)

.DEFAULT_GOAL := help
.PHONY: help demo all environments test reliability bench lint dev dist clean $(TASKS) $(TASKS:%=test-%) $(TASKS:%=bench-%)
.PRECIOUS: .venv/%/installed

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@for task in $(TASKS); do \
	  printf '  make %-12s %s\n' $$task "the $$task assignment: train, evaluate, report" \
	    test-$$task "test the $$task package alone" bench-$$task "measure its speed against its peers"; \
	done

demo: environments ## install every task, run each on its sample, compare the figures
	$(PYTHON) tools/demo.py runs/demo-$$(date +%Y%m%d-%H%M%S)

all: environments ## the same on the real data where they lie: an hour and a half on two cores
	$(PYTHON) tools/demo.py runs/all-$$(date +%Y%m%d-%H%M%S) --real

test: $(TOX) ## build, install alone and test every package; lint, types, packaging
	$(TOX) run $(TOX_FLAGS)

reliability: $(TOX) ## attack all packages: kills, damaged files, full disks; about seven minutes
	$(TOX) run -e reliability

# Where gensim cannot be installed, what is compared to it stays unmeasured.
bench: environments ## measure every speed claim of the READMEs again, and compare to the targets
	-@.venv/cbow/bin/python -m pip install --quiet --disable-pip-version-check './packages/cbow[peers]'
	$(PYTHON) tools/bench.py runs/bench-$$(date +%Y%m%d-%H%M%S)

lint: $(TOX) ## style and types
	$(TOX) run -e lint,types

$(TASKS:%=test-%): test-%: $(TOX)
	$(TOX) run -e $$($(PYTHON) -c 'import sys; print("py%d%d" % sys.version_info[:2])')-$*

dev: ## one environment, .venv/dev, with all packages editable
	$(PYTHON) -m venv .venv/dev
	.venv/dev/bin/python -m pip install --quiet --upgrade 'pip>=25.1' # reads dependency groups
	DLTASKS_RELEASE=1 .venv/dev/bin/python -m pip install --quiet -e './shared[data,nltk,report]' \
	  $(TASKS:%=-e ./packages/%) $(TASKS:%=--group test-%) --group test-shared --group lint --group types
	@echo "Activate it with: source .venv/dev/bin/activate"

# The assignment: the real data where it lies ($DLTASKS_DATA/<data set> or the cache folder), else the sample.
RECIPE_cbow := baseline
RECIPE_esim := laptop
RECIPE_imdb_sentiment := nbsvm
RECIPE_resnet_tiny := laptop
RECIPE_word_lm := laptop

$(TASKS): %: .venv/%/installed
	.venv/$*/bin/$(subst _,-,$*) train --recipe $(RECIPE_$*) --seed 42

$(TASKS:%=bench-%): bench-%: .venv/%/installed
	.venv/$*/bin/$(subst _,-,$*) bench

# All of them, two at a time: installing keeps one core busy.
environments:
	@$(MAKE) --no-print-directory -j2 $(TASKS:%=.venv/%/installed)

# A task's own environment. pip is asked each time: it installs again what has changed in the checkout.
.venv/%/installed: FORCE
	@test -x .venv/$*/bin/python || $(PYTHON) -m venv .venv/$*
	@echo "installing packages/$* into .venv/$*"
	@.venv/$*/bin/python -m pip install --quiet --disable-pip-version-check ./packages/$*
	@touch $@

$(TOX):
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'tox>=4.22' $(if $(NO_UV),,'tox-uv>=1.20')

dist: ## wheels and sdists to publish, in dist/
	$(PYTHON) -m venv .venv/build
	.venv/build/bin/python -m pip install --quiet --disable-pip-version-check 'build>=1.2'
	for package in shared $(TASKS:%=packages/%); do \
	  DLTASKS_RELEASE=1 .venv/build/bin/python -m build --outdir dist $$package || exit; done

clean: ## remove environments and caches; runs/ stays
	rm -rf .venv .tox .pytest_cache .hypothesis .mypy_cache .ruff_cache dist

FORCE:
