# Two commands are enough to start: `make demo` and `make test`.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin

.PHONY: setup demo test lint bench docs lock clean

setup: .venv/.complete ## build .venv from the lock file

.venv/.complete: requirements/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "Tandem needs Python 3.11 to 3.13; set PYTHON=python3.12, say."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/lock.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## import, index, train, evaluate, then serve on 127.0.0.1:$(PORT)
	$(BIN)/tandem demo --port $(PORT)

lint: setup ## style, types and import rules
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## lint, then the whole test suite with coverage
	bash tests/with_browser.sh bash tests/with_spark.sh $(BIN)/pytest -n 2 --cov --cov-report=term

bench: setup ## benchmarks at 10k, 100k and 1M products; results go to benchmarks/results/
	-$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/bench.txt
	$(BIN)/python -m benchmarks.run

docs: setup ## regenerate the reference pages from the code
	$(BIN)/python -m tandem.cli.reference docs/reference

lock: ## resolve pyproject.toml into requirements/lock.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements/lock.txt
	$(BIN)/uv pip compile pyproject.toml --group bench --universal --python-version 3.11 \
		--constraint requirements/lock.txt \
		--generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements/bench.txt
	$(BIN)/uv pip compile pyproject.toml --group spark --universal --python-version 3.11 \
		--constraint requirements/lock.txt \
		--generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements/spark.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache htmlcov
