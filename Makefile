# make env     .venv with the `sideman` command in it: all that playing needs
# make play    play now, and open the page that shows, sounds and steers it; ARGS="--preset bebop" goes to `sideman run`
# make quick   the tests that need no TensorFlow, MIDI port or process of their own: a minute, for the loop of work
# make test    everything that a change has to pass, with branch coverage (installs TensorFlow into .venv as well);
#              COVERAGE=no leaves that out and is faster
# make trials  play with real programs (fluidsynth, Ardour, Hydrogen …), if they are installed; ARGS="klick ardour"
# make lint    the part of it that only reads the code
# make docs    the API reference, into build/docs
# make generate  write the generated files and tables again
# make bench   how fast and punctual sideman is on this machine; ARGS="--json" prints JSON
# make audit   ask pip-audit whether a locked package has a known vulnerability (needs pypi.org)
# make fuzz    feed the readers with wrong input; ARGS="charts --seconds 600" chooses a target and the time (Python 3.11 to 3.13)
# make lock    resolve the dependencies again and write both locks (needs uv)
# make clean   remove .venv and everything that the tools have written

VENV   := .venv
BIN    := $(VENV)/bin
# The first Python that python-rtmidi, which JACK needs, has wheels for (3.11, 3.12), else any that is new enough.
PYTHON ?= $(shell for below in 13 99; do for each in python3 python3.12 python3.11 python3.13 python3.14 python; do \
	"$$each" -c "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, $$below))" \
	>/dev/null 2>&1 && { echo "$$each"; exit; }; done; done)
ARGS   ?=
COVERAGE ?= yes

.PHONY: env play quick test trials lint docs generate bench audit fuzz lock clean
.DELETE_ON_ERROR:

env: $(VENV)/.play

play: env
	@$(BIN)/sideman run --window $(if $(filter -v --verbose,$(ARGS)),,--quiet) $(if $(findstring --preset,$(ARGS)),,--preset band) $(ARGS)

# The same markers as in tests/conftest.py, which fails a test that starts a process without one of them.
quick: $(VENV)/.test
	$(BIN)/python -m pytest -q -n auto --hypothesis-profile=quick \
		-m "not (browser or link or ports or slow or subprocess or system or tensorflow)" $(ARGS)

# Tests of ports, of Link and of the page in a browser listen to the time: they run one after the other, and alone.
# COVERAGE=no leaves out the measuring of coverage, with which Python is more than twice as slow.
test: lint
	@$(if $(measured),$(BIN)/coverage erase)
	$(run_tests) -n auto --dist worksteal -m "not (browser or link or ports)" $(ARGS) || $(none_chosen)
	$(run_tests) -m "browser or link or ports" $(ARGS) || $(none_chosen)
	@$(if $(measured),$(BIN)/coverage combine --quiet && $(BIN)/coverage report)

measured    = $(filter-out no,$(COVERAGE))
run_tests   = $(BIN)/$(if $(measured),coverage run,python) -m pytest
none_chosen = [ $$? -eq 5 ]  # by ARGS: pytest's exit status if there is no test

trials: $(VENV)/.test
	$(BIN)/python tests/system/program_trial.py $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.test
	@TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/pdoc --output-directory build/docs $(PUBLIC)
PUBLIC := sideman.control.client sideman_models

generate: $(VENV)/.test
	$(BIN)/python docs/generate.py

bench: $(VENV)/.test
	@PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

# Neither tool is needed to build or to test: each has an environment of its own, and is not in the locks.
audit: build/audit/bin/pip-audit
	@$(PYTHON) tests/support/audit.py $< requirements.lock requirements-dev.lock
build/audit/bin/pip-audit:
	@"$(PYTHON)" -m venv --clear build/audit && build/audit/bin/python -m pip install --quiet pip-audit

fuzz: build/fuzz/bin/python
	@PYTHONPATH=daemon:models:tests $< -m fuzz $(ARGS)
build/fuzz/bin/python: requirements-dev.lock
	@"$(PYTHON)" -m venv --clear build/fuzz && build/fuzz/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	@build/fuzz/bin/python -m pip install --quiet atheris python-osc

# Stamps: a step is repeated only when its inputs have changed.
$(VENV)/.python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "sideman needs Python 3.11 or newer with its venv module, and none was found on the path." >&2; \
	  echo "Debian, Ubuntu: sudo apt install python3 python3-venv    Fedora: sudo dnf install python3" >&2; \
	  echo "Or name one: make $(firstword $(MAKECMDGOALS) env) PYTHON=/path/to/python3.12" >&2; exit 1; fi
	"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.play: requirements.lock pyproject.toml | $(VENV)/.python
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock || { $(no_wheel); exit 1; }
	@! $(BIN)/python -c 'import rtmidi; exit(rtmidi.get_compiled_api() != [rtmidi.API_RTMIDI_DUMMY])' 2>/dev/null || { \
	  $(BIN)/python -m pip uninstall --quiet --yes python-rtmidi; $(BIN)/python -m pip cache remove --quiet python_rtmidi; \
	  echo "python-rtmidi was built without ALSA, JACK or CoreMIDI: it could not play a note." >&2; $(no_wheel); exit 1; }
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: requirements-dev.lock $(VENV)/.play
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

# python-rtmidi comes ready-made for Python 3.11 and 3.12 only. For others pip builds it, but on Linux, where ALSA does
# not need it, it is left out.
define no_wheel
if $(BIN)/python -c 'import sys; sys.exit(sys.platform == "linux" or sys.version_info < (3, 13))'; then \
  echo "python-rtmidi has to be built for this Python; that needs a C++ compiler. Or use Python 3.11 or 3.12:" >&2; \
  echo "make clean env PYTHON=python3.12" >&2; \
else echo "What playing needs could not be installed: see what pip says above." >&2; fi
endef

lock:
	uv pip compile pyproject.toml --extra window --group build $(LOCKING) -o requirements.lock
	uv pip compile pyproject.toml --extra window --extra link --extra train --extra osc --group dev $(LOCKING) -c requirements.lock -o requirements-dev.lock
LOCKING := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--custom-compile-command "make lock"

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
