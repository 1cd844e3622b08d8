# Every target installs what it needs first; a second run finds it there and is quick.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two processes: one has the files with a broker, one after the other, one has the rest; ARGS=-n0: all in this one.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder
CODE := banstream enforcers eventlog producers schemas sinks streams tests bench

LOCKS := deploy/locks
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	--custom-compile-command "make lock" --no-emit-index-url --no-emit-find-links $(ARGS)

.PHONY: install run demo test test-all lint lock audit man deb format bench clean

install: $(STAMP)

$(STAMP): pyproject.toml deploy/machine.sh deploy/venv.sh $(LOCKS)/build.lock $(LOCKS)/dev.lock
	@deploy/machine.sh run
	@deploy/venv.sh $(VENV)
	@touch $@

run: $(STAMP)  ## protect this machine on the embedded log
	@deploy/machine.sh run
	@exec $(BIN)/banstream up $(ARGS)

demo: $(STAMP)
	@exec $(BIN)/banstream demo

test: $(STAMP)
	@deploy/machine.sh test
	@$(PYTEST) $(ARGS)

test-all: $(STAMP)  ## every test, those on whole machines too
	@deploy/machine.sh all
	@$(PYTEST) --whole-machines $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

lock: $(STAMP)  ## pin what pyproject.toml asks for; ARGS=--upgrade: to the newest that it allows
	$(LOCK) pyproject.toml --extra fast --extra http --extra kafka --extra nftables --extra places -o $(LOCKS)/run.lock
	$(LOCK) $(LOCKS)/build.in -c $(LOCKS)/run.lock -o $(LOCKS)/build.lock
	$(LOCK) pyproject.toml --all-extras -c $(LOCKS)/run.lock -c $(LOCKS)/build.lock -o $(LOCKS)/dev.lock

audit: $(STAMP)  ## ask PyPI what is known against the locked packages; needs its advisories
	$(BIN)/pip-audit --strict --disable-pip --require-hashes \
		-r $(LOCKS)/build.lock -r $(LOCKS)/dev.lock

man: $(STAMP)  ## the manual page, from the help of every command
	$(BIN)/python -m banstream.manual deploy/man/banstream.1

deb: $(STAMP)  ## a Debian package for the Debian that this runs on, in dist/
	@deploy/deb/build.sh $(BIN)/python

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	@deploy/machine.sh bench
	@$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
