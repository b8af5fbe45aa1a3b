# `make run` and `make test` do all of the set-up themselves; docs/building.md tells how.

.DEFAULT_GOAL := help
.PHONY: help run demo test week kills unplug walk lint types pages bench model deb test-deb lock clean system browser sound environment dev engine

BIN    := .venv/bin
MODELS := .state/models

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# A run from the checkout keeps its data in it; the environment may say otherwise, as for any setting.
run: export AMBIENTD_CONFIG ?= config/ambientd.toml
run: export AMBIENTD_STORE__DIRECTORY ?= $(CURDIR)/.state
run: export AMBIENTD_MODELS__DIRECTORY ?= $(CURDIR)/$(MODELS)
run: engine model  ## set up what is missing, then run the daemon until Ctrl-C
	@exec $(BIN)/ambientd

demo: export AMBIENTD_MODELS__DIRECTORY ?= $(CURDIR)/$(MODELS)
demo: engine model  ## play a visit to a box and see a central server's answers come back
	@PYTHONPATH=tests $(BIN)/python -m central.demo

test: lint types engine model browser sound  ## set up what is missing, then lint, types and every test
	$(BIN)/pytest

# Two tests at full length; -s shows what was run, how often it was killed and what was found wrong.
week: dev engine  ## a week of failing centres and pulled plugs, whole, with each kind of centre
	AMBIENTD_WEEK=full $(BIN)/pytest -s tests/system/test_simulated_week.py

AMBIENTD_KILLS ?= 200
kills: dev engine  ## kill each operation of the store 200 times (AMBIENTD_KILLS: how often)
	AMBIENTD_KILLS=$(AMBIENTD_KILLS) $(BIN)/pytest -s --timeout 3600 tests/store/test_kills.py

unplug: dev engine model  ## kill the microphone's process 100 times at random in a session of ten minutes
	AMBIENTD_MICROPHONE_KILLS=100 AMBIENTD_MICROPHONE_SECONDS=600 $(BIN)/pytest -s --timeout 3600 tests/system/test_killed_microphone.py

walk: dev engine model browser  ## walk a browser through a day at a real box, every view looked at; pictures in build/walk
	AMBIENTD_WALK=full $(BIN)/pytest tests/web/test_page_walked.py

lint: dev  ## check style and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev  ## check the types
	$(BIN)/mypy

pages: environment  ## write again what is printed from the code: settings, manual pages, completion
	$(BIN)/python -m ambientd.api.declared
	$(BIN)/python -m ambientd.config.pages
	$(BIN)/python -m ambientd.ctl.pages

bench: export AMBIENTD_MODELS__DIRECTORY ?= $(CURDIR)/$(MODELS)
bench: dev engine model  ## measure this machine (ONLY=offline, streaming…: a part), into docs/benchmarks.md
	@packaging/peers
	PYTHONPATH=tests $(BIN)/python -m bench $(ONLY)

model: $(MODELS)/base-q8_0.json $(MODELS)/silero-vad.json  ## fetch the speech models

deb: model  ## build the Debian packages of the last commit, into build/deb
	@packaging/system-packages --deb
	@packaging/deb

test-deb:  ## as root: install, upgrade, remove and purge what make deb built, in a clean Debian with systemd
	@packaging/test-deb

lock: system  ## write the locked versions again (UPGRADE=1 make lock: the newest ones)
	@packaging/lock

clean:  ## remove what was built and installed; transcripts and models in .state stay
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -prune -exec rm -rf {} +

# The set-up, in order.  Each script ends at once when its stamp says that nothing changed.
system:
	@packaging/system-packages
browser: system
	@packaging/system-packages --browser
sound: system
	@packaging/system-packages --sound
environment: system
	@packaging/environment run
dev: system
	@packaging/environment dev
engine: environment
	@packaging/engine-build

# A model's manifest is written last, so it is stamp enough.  One fetch at a time: they share a workspace.
$(MODELS)/%.json: | environment
	@echo "==> speech model: $(*:-q8_0=)"
	@flock build/models.lock $(BIN)/ambientctl model fetch $(*:-q8_0=) --directory $(MODELS)
