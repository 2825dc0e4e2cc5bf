# dltasks: `make help` lists the targets. Everything runs from a checkout with Python >= 3.11 and make.
SHELL := /bin/bash
PYTHON ?= python3
TASKS := cbow esim imdb_sentiment resnet_tiny word_lm
BIN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
TOOLS := .venv/tools
TOX := $(TOOLS)/$(BIN)/tox
PIP := -m pip --quiet --disable-pip-version-check

# uv reads its own variable where pip reads PIP_FIND_LINKS; set only where the user has set pip's.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
endif

# Pins live in constraints/ only; pip, and uv inside tox, read them from here. Both split the variable at spaces, so it
# holds a URL, in which a space is %20.
ifndef PIP_CONSTRAINT
PIP_CONSTRAINT := $(shell $(PYTHON) -c 'import pathlib; print(pathlib.Path("constraints/cpu.txt").resolve().as_uri())')
endif
export PIP_CONSTRAINT
export UV_CONSTRAINT ?= $(PIP_CONSTRAINT)

# What `make <task>` trains: the assignment, or what comes closest in minutes. `make cbow RECIPE=best` takes another one.
RECIPE_cbow := coursework
RECIPE_esim := laptop
RECIPE_imdb_sentiment := nbsvm
RECIPE_resnet_tiny := laptop
RECIPE_word_lm := laptop

.DEFAULT_GOAL := help
.PHONY: help demo all environments test reliability matrix bench lint dev docs dist clean \
  $(TASKS) $(TASKS:%=test-%) $(TASKS:%=bench-%)
.PRECIOUS: .venv/%/installed

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '  make %-16s %s\n' 'test-<task>' 'test one package alone' \
	  'bench-<task>' 'measure its speed against its peers'

demo: environments ## install every task, run each on its sample, compare the figures
	$(PYTHON) tools/demo.py "runs/demo-$$(date +%Y%m%d-%H%M%S)"

all: environments ## the same on the real data: an hour and a half on two cores
	$(PYTHON) tools/demo.py "runs/all-$$(date +%Y%m%d-%H%M%S)" --real

test: $(TOX) ## build, install alone and test every package; lint, types, packaging
	$(TOX) run-parallel --parallel auto --parallel-no-spinner $(TOX_FLAGS)

reliability: $(TOX) ## attack all packages: kills, damaged files, full disks; long tests; the teaching kit; apps
	$(TOX) run -e reliability,teaching,app

matrix: $(TOX) ## every package on every Python, and with the oldest and the latest libraries: hours, many GB
	$(TOX) run -m pythons libraries

# Where gensim cannot be installed, what is compared to it stays unmeasured.
bench: environments ## measure every speed claim of the READMEs again, and compare to the targets
	-@.venv/cbow/$(BIN)/python $(PIP) install './packages/cbow[peers]'
	$(PYTHON) tools/bench.py "runs/bench-$$(date +%Y%m%d-%H%M%S)"

lint: $(TOX) ## style and types
	$(TOX) run -e lint,types

$(TASKS:%=test-%): test-%: $(TOX)
	$(TOX) run -e "$$($(PYTHON) -c 'import sys; print("py%d%d" % sys.version_info[:2])')-$*"

dev: ## one environment, .venv/dev, with all packages editable
	$(PYTHON) -m venv .venv/dev
	.venv/dev/$(BIN)/python $(PIP) install --upgrade 'pip>=25.1' # reads dependency groups
	DLTASKS_RELEASE=1 .venv/dev/$(BIN)/python $(PIP) install -e './shared[data,nltk,report]' \
	  $(TASKS:%=-e ./packages/%) $(TASKS:%=--group test-%) --group test-shared --group lint --group types
	@echo "Activate it with: source .venv/dev/$(BIN)/activate"

cbow: ## the word2vec assignment to the letter: 20 seconds on one core
esim: ## the inference assignment's model on 24,495 pairs: 2 minutes; its own settings: RECIPE=baseline
imdb_sentiment: ## reviews by NB-SVM: 70 seconds; the assignment's BiLSTM: RECIPE=baseline
resnet_tiny: ## ResNet-18 in an hour; the assignment's 90 epochs, which want a GPU: RECIPE=baseline
word_lm: ## an LSTM in 8 minutes; the assignment's Transformer, 83 minutes on one core: RECIPE=baseline

# The real data where it is ($DLTASKS_DATA/<data set> or the cache folder), else the sample.
$(TASKS): %: .venv/%/installed
	.venv/$*/$(BIN)/$(subst _,-,$*) train --recipe $(or $(RECIPE),$(RECIPE_$*)) --seed 42

$(TASKS:%=bench-%): bench-%: .venv/%/installed
	.venv/$*/$(BIN)/$(subst _,-,$*) bench

# All of them, two at a time: installing keeps one core busy.
environments:
	@$(MAKE) --no-print-directory -j2 $(TASKS:%=.venv/%/installed)

# A task's own environment. pip is asked each time: it installs again what has changed in the checkout.
.venv/%/installed: FORCE
	@test -x .venv/$*/$(BIN)/python || $(PYTHON) -m venv .venv/$*
	@echo "installing packages/$* into .venv/$*"
	@.venv/$*/$(BIN)/python $(PIP) install ./packages/$*
	@touch $@

$(TOX):
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/$(BIN)/python $(PIP) install 'tox>=4.22' $(if $(NO_UV),,'tox-uv>=1.20')

docs: ## the site of all documents and the API, English and Chinese, in build/site
	@test -x .venv/docs/$(BIN)/mkdocs || $(PYTHON) -m venv .venv/docs
	.venv/docs/$(BIN)/python $(PIP) install --upgrade 'pip>=25.1' # reads dependency groups
	.venv/docs/$(BIN)/python $(PIP) install --group docs
	$(PYTHON) tools/site_sources.py build/site-sources
	for edition in mkdocs.yml mkdocs.zh.yml; do \
	  NO_MKDOCS_2_WARNING=1 .venv/docs/$(BIN)/mkdocs build --quiet -f $$edition || exit; done
	@echo "Open build/site/index.html"

dist: ## wheels and sdists to publish, in dist/
	$(PYTHON) -m venv .venv/build
	.venv/build/$(BIN)/python $(PIP) install 'build>=1.2'
	for package in shared $(TASKS:%=packages/%); do \
	  DLTASKS_RELEASE=1 .venv/build/$(BIN)/python -m build --outdir dist $$package || exit; done

clean: ## remove environments and caches; runs/ stays
	rm -rf .venv .tox build .pytest_cache .hypothesis .mypy_cache .ruff_cache dist

FORCE:
