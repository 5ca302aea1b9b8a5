# make run   – install, run the demo campaign, print the leaderboard, write report.html
# make run-text – the same for titles: a synthetic catalogue, baselines, an encoder, per language
# make simulations – every promise against simulated truth, docs/reference/promises.md
# make test  – install, check style, types and imports, run the tests
# make test-long – whole runs end to end that take many seconds each
# make test-processes – programs that are killed, share a store or meet broken disks
# make test-services – the workbench in Chromium, stores in PostgreSQL and behind S3, a Ray cluster
# make docs  – build docs/ as a site, site/index.html; fails on dead links and stale pages
# make references – write the pages of docs/reference that are made from the code
# make test-all – everything but what needs a GPU, slow simulations included

export OMP_NUM_THREADS ?= 1
# every program that a test starts would compile the package anew
unexport PYTHONDONTWRITEBYTECODE
BIN = .venv/bin
EXTRAS ?= dev text vectors pretrained serve onnx docs trackers

.PHONY: setup run run-text test test-long test-processes test-services test-all lint bench simulations docs references clean

setup:
	@python3 tools/install.py $(EXTRAS)

run-text: setup
	@$(BIN)/trueness run text-demo --open-test --report text-report.html

run: setup
	@$(BIN)/trueness run demo --report report.html
	@printf '%s\n' '' 'The page is report.html. Next:' \
	  '  $(BIN)/trueness show D-02                        every estimate of one run' \
	  '  $(BIN)/trueness judge scores.csv --y label       your own models, a column each' \
	  '  $(BIN)/trueness serve --open                     all of it in a browser'

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/ty check trueness

test: lint
	@$(BIN)/pytest -n 2 --dist loadfile

test-long: setup
	@$(BIN)/pytest -n 2 --dist loadfile -m "long and not (slow or processes or gpu or browser or ray or services)"

test-processes: setup
	@$(BIN)/pytest -n 2 --dist loadfile -m "processes and not slow"

test-services:
	@python3 tools/services.py
	@python3 tools/install.py $(EXTRAS) ray postgres s3 services
	@$(BIN)/pytest -m "(services or ray) and not slow"

test-all: lint
	@$(BIN)/pytest -m "not gpu"

bench: setup
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; PYTHONPATH=. $(BIN)/python $$file || exit 1; done

simulations: setup
	@$(BIN)/python -m tests.simulations

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "wrote site/index.html"

references: setup
	@for page in spec checks api; do $(BIN)/python tools/$${page}_reference.py || exit 1; done
	@$(BIN)/python tools/architecture_picture.py

clean:
	rm -rf .venv build dist site .pytest_cache .ruff_cache
