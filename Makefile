# Everything a newcomer needs: `make live` and `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q
ARGS   ?=

.PHONY: live test lint bench install portaudio clean

live: portaudio $(VENV)/.live
	@$(BIN)/fullband live $(ARGS)

# Real servers, telephones and browsers share the machine with others: what fails is run once more, and named.
test: portaudio $(VENV)/.dev lint
	@$(BIN)/python -m pytest -m "not slow and not server" $(ARGS)
	@$(BIN)/python -m pytest -m "slow or server" --reruns 1 -rR $(ARGS)

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.live
	@$(BIN)/fullband bench $(ARGS)

install: $(VENV)/.live

$(BIN)/python:
	@echo "making $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# A stamp is newer than what it was made from, so a second `make` starts at once.
$(VENV)/.live: pyproject.toml | $(BIN)/python
	@echo "installing fullband …"
	@$(PIP) install -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing fullband with what its tests and its training need …"
	@$(PIP) install torch==2.13.0
	@$(PIP) install -e ".[train,dev,voip]"
	@$(PIP) install -e ".[pyaudio]" >/dev/null 2>&1 \
	  || echo "PyAudio cannot be built (it needs portaudio19-dev and a C compiler): its backend is not tested"
	@touch $@ $(VENV)/.live

# The library of the sound devices. Without it fullband runs on the simulated device.
# Debian keeps ldconfig off the path of all but root.
portaudio:
	@if [ "$$(uname)" = Linux ] && ! PATH="$$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null | grep -q libportaudio; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing PortAudio …"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libportaudio2; } >/dev/null 2>&1 \
	      || echo "could not install PortAudio: no sound devices until it is there"; \
	  else \
	    echo "PortAudio is missing; for sound devices type:  sudo apt-get install libportaudio2"; \
	  fi; \
	fi

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis fullband-live.wav fullband-live.png
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
