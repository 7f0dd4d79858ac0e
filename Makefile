# make run: install and make a first run with its figures.  make test: the quick tests.  make test-slow: the long ones.
# make check: lint and all tests, what .ci/run runs.  make readmes: the parts of the READMEs that come from the code.
# make characteristics: how often the verdicts are right, into wnexp/theory/README.md; trains in outputs/characteristics.
# make bench: against PyTorch loops, and how time and memory grow; quiet machines only.
# make accelerators: the programs compiled for an H100 and a TPU v5e, which need not be here; downloads the compilers.
# With ONLY='lin_sep and tpu' those alone that pytest's -k finds.
# make paper: the paper's experiments that need no download, and digits, into outputs/paper/; the chosen figures into
# outputs/gallery/.
# make family: between SWN and EWN, from lazy to rich, the edge of stability, into outputs/family/, and chosen figures.
# make atlas: which margin every step rule maximizes, under every norm, into outputs/atlas/, and its chosen figures.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-slow lint check readmes characteristics bench accelerators paper atlas family clean

run: .venv/installed
	$(BIN)/wnexp train +norm=ewn
	$(BIN)/wnexp plot outputs/lin_sep/norm=ewn
	@echo "The figures are in outputs/lin_sep/norm=ewn/figures/"

test: .venv/tests-installed
	$(BIN)/python -m pytest -m "not slow"

test-slow: .venv/tests-installed
	$(BIN)/python -m pytest -m slow

lint: .venv/tests-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

check: lint test test-slow

readmes: .venv/tests-installed
	$(BIN)/python -m tests.readmes

characteristics: .venv/tests-installed
	$(BIN)/python -m tests.theory.characteristics

bench: .venv/bench-installed
	$(BIN)/python tests/benchmarks/bench.py
	$(BIN)/python tests/benchmarks/growth.py

# For these processes alone: in the environment itself JAX would try to start a GPU and a TPU in every run.
COMPILERS := PYTHONPATH=.venv/accelerators JAX_PLATFORMS=cpu

accelerators: .venv/accelerators-installed
	$(COMPILERS) $(BIN)/python -m pytest -m slow --dist load tests/accelerators -k '$(ONLY)'

TRAIN := $(BIN)/wnexp train -m outputs=outputs/paper
EXPERIMENTS := simple_traj lin_sep xor conv_rate digits digits_cnn
GALLERY := simple_traj/paths lin_sep/norms lin_sep/norm_gradient lin_sep/loss_shares lin_sep/directions lin_sep/margin \
	lin_sep/limit_cosine lin_sep/boundary lin_sep/alignment lin_sep/rates xor/norms conv_rate/loss_by_norm digits/pruning digits/pruning_scores digits/effective_neurons \
	digits/norm_distribution

paper: .venv/installed
	$(TRAIN) +experiment=simple_traj +norm=none,ewn
	$(TRAIN) +experiment=lin_sep +norm=none,swn,ewn
	$(TRAIN) +experiment=xor +norm=none,swn,ewn
	$(TRAIN) +experiment=conv_rate +norm=none,swn,ewn model.depth=1,2,3,4
	$(TRAIN) +experiment=digits +norm=none,swn,ewn seeds=3
	$(TRAIN) +experiment=digits_cnn +norm=none,swn,ewn
	$(BIN)/wnexp prune outputs/paper/digits outputs/paper/digits_cnn
	for name in $(EXPERIMENTS); do $(BIN)/wnexp plot outputs/paper/$$name || exit 1; done
	mkdir -p outputs/gallery
	for name in $(GALLERY); do \
		cp outputs/paper/$${name%/*}/figures/$${name#*/}.png outputs/gallery/$${name%/*}_$${name#*/}.png || exit 1; done

ATLAS := $(BIN)/wnexp train -m outputs=outputs/atlas
RULES := normalized_gd,momentum,nesterov,sign,signum,lion,adam,adamw,rmsprop,adagrad,coordinate,spectral,muon,nuclear

atlas: .venv/installed
	$(ATLAS) +experiment=crossover optimizer.log_eps=null,-10,-20,-60
	$(ATLAS) +experiment=margins_net +norm=none,swn,ewn optimizer=$(RULES)
	$(ATLAS) +experiment=margins +norm=none,swn,ewn seeds=3 optimizer=$(RULES)
	$(ATLAS) +experiment=margins +norm=none seeds=3 optimizer=dual_acceleration
	$(BIN)/wnexp verify outputs/atlas
	for name in crossover margins margins_net; do $(BIN)/wnexp plot --most 60 outputs/atlas/$$name || exit 1; done
	mkdir -p outputs/gallery
	cp outputs/atlas/crossover/figures/crossover.png outputs/gallery/crossover.png
	for name in margins margins_net; do \
		cp outputs/atlas/$$name/figures/atlas.png outputs/gallery/$${name}_atlas.png || exit 1; done

FAMILY := $(BIN)/wnexp train -m outputs=outputs/family
POWERS := 0.5,1,1.5,2,3,4,8,inf

family: .venv/installed
	$(FAMILY) +experiment=power norm.power=$(POWERS) model.depth=1,2,3
	$(FAMILY) +experiment=digits +norm=power norm.power=$(POWERS) seeds=3
	$(FAMILY) +experiment=rich_lazy +norm=none,swn,ewn model.init_scale=0.01,0.03,0.1,0.3,1,3,10
	$(FAMILY) +experiment=edge +norm=none,swn,ewn optimizer=gd,gd_constant,flow
	$(FAMILY) +experiment=penalty +norm=none loss.log_penalty=-30,-60,-100,-300,-1000
	$(FAMILY) +experiment=penalty +norm=power loss.penalty=weights,parameters loss.log_penalty=-10,-30,-60,-100
	$(FAMILY) +experiment=sparse_regression +norm=none,power model.init_scale=1e-8,1e-6,1e-4,0.01,1
	$(FAMILY) +experiment=group_regression +norm=power norm.v_norm=1,0.1,0.01,0.001,0.0001
	$(BIN)/wnexp verify outputs/family/power
	$(BIN)/wnexp prune outputs/family/digits
	for name in power digits rich_lazy edge sparse_regression; do $(BIN)/wnexp plot --most 30 outputs/family/$$name || exit 1; done
	mkdir -p outputs/gallery
	cp outputs/family/power/figures/exponents_power.png outputs/gallery/exponents_power.png
	cp outputs/family/edge/figures/sharpness.png outputs/gallery/edge_sharpness.png
	for name in power digits rich_lazy sparse_regression; do \
		cp outputs/family/$$name/figures/sweep.png outputs/gallery/$${name}_sweep.png || exit 1; done

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/tests-installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ .venv/installed

.venv/accelerators-installed: tests/accelerators/wheels.py .venv/tests-installed
	$(BIN)/python -m tests.accelerators.wheels > .venv/accelerators.txt
	rm -rf .venv/accelerators
	$(BIN)/python -m pip install --quiet --no-deps --target .venv/accelerators --requirement .venv/accelerators.txt
	@touch $@

.venv/bench-installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@ .venv/installed

clean:
	rm -rf .venv
