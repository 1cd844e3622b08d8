# Every target installs what it needs first; a second run finds it there and is quick.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := banstream enforcers eventlog producers schemas streams tests bench

.PHONY: install run demo test test-all lint format bench clean

install: $(STAMP)

$(STAMP): pyproject.toml deploy/machine.sh
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
	@$(BIN)/python -m pytest $(ARGS)

test-all: $(STAMP)  ## every test, those on whole machines too
	@deploy/machine.sh all
	@$(BIN)/python -m pytest --whole-machines $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	@deploy/machine.sh bench
	@$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
