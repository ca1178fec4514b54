# Needs Python 3.11+ with venv, make, gcc, g++ and git; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

.PHONY: demo test drill bench cases clean
.DELETE_ON_ERROR:

demo: $(READY)  ## a real hang on real ranks: what was injected, seen and concluded
	@$(RUN) diagnose drill compile_skew

test: $(READY)  ## everything CI runs
	@$(RUN) tests/check.sh

drill: $(READY)  ## every drill three times, attached to once; kills of our own processes and of containers; a log of 10 GB
	@$(RUN) tests/drills/all.sh

bench: $(READY)  ## the figures of README, measured anew
	@$(RUN) tests/bench/all.sh

cases: $(READY)  ## how many incidents postmortem gets right, class by class: real, written, captured
	@$(RUN) python -m tests.postmortem

$(READY): pyproject.toml constraints.txt
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (torch is large: this takes a while, once)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,modal,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist
