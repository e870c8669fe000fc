# The two commands of the README, and what they are made of. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What the demo looks at: a camera index, a video, a folder of images, an image or a rosbag2. Empty: the clip that CLIP names.
SOURCE ?=
# The clip: face (a woman sad, crying, afraid, laughing) or grin (a man neutral, then grinning).
CLIP ?= face
# Where the demo writes its video, contact sheet and summary.json.
OUTPUT ?= demo_output
# More arguments for the demo, such as ARGS="--help".
ARGS ?=

in_environment := set +u; source scripts/environment.bash; set -u;

.PHONY: help
help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: python3
python3:
	@command -v python3 > /dev/null || { echo "python3 is missing: sudo apt install python3 python3-venv" >&2; exit 1; }

.PHONY: demo
demo: python3  ## See faces' emotions; SOURCE=0|video|folder|image|bag
	@scripts/setup demo
	@scripts/build
	@source_="$(SOURCE)"; source_="$${source_:-$$(scripts/clip $(CLIP))}"; \
	  $(in_environment) install/siamese_emotion_ros/lib/siamese_emotion_ros/emotion_demo \
	    --source "$$source_" --output "$(OUTPUT)" $(ARGS)

.PHONY: test
test: python3  ## Build, then run all tests and linters
	@scripts/setup test
	@scripts/build
	@$(in_environment) \
	  rm -rf build/siamese_emotion_ros/test_results; \
	  colcon test --event-handlers console_direct+ --return-code-on-test-failure --ctest-args -j "$$(nproc)" \
	    && status=0 || status=$$?; \
	  colcon test-result --test-result-base build/siamese_emotion_ros/test_results --verbose && exit $$status

.PHONY: test-jazzy
test-jazzy:  ## The same on Jazzy's wheels, with Python 3.12
	@scripts/jazzy test

.PHONY: build
build: python3  ## Set up and build, for use with `source install/setup.bash`
	@scripts/setup demo
	@scripts/build

.PHONY: lint
lint: python3  ## Run ruff, mypy and import-linter only
	@scripts/setup test
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

.PHONY: clean
clean:  ## Remove what was built; .venv and the clips stay
	rm -rf build install log demo_output
