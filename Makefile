# The interface. `make help` lists the targets; everything sets itself up.
PROFILE ?= mini
VENV    ?= .venv
PY      := $(VENV)/bin/python
TISDISS := $(VENV)/bin/tisdiss
COMPILED := pesq==0.0.4
ifdef CPU
LOCKED  := grep -vE '^(cuda-|nvidia-|triton=)' requirements.lock
BACKEND := --torch-backend cpu
else
LOCKED  := cat requirements.lock
endif
REPORTS :=
OUT     := $(if $(REPORTS),--reports "$(REPORTS)")
DEMO    := $(or $(REPORTS),build/reports)
STUDIES := table1 table2 table3 fig2a fig2b fig2c fig2d fig2e fig2f fig2g fig2h
# What is worth running next on processors alone, the most telling first.
CAMPAIGN ?= fig2a fig2c table3 fig2d fig2b fig2e fig2f fig2g fig2h table2 table1
HOURS    ?= 3
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# Threads that wait must not spin: on a busy machine that makes work ten times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check ui lock schema model gpu-dry paper campaign claims report check-tex bench drill $(STUDIES)

help:           ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9A-Z$$() _-]+:.*## /{sub(/\$$\(STUDIES\)/, "table1|fig2a|.."); printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "studies: $(STUDIES)"
	@echo "reports go to build/reports (profile smoke: build/smoke) or REPORTS=folder"

setup: $(VENV)/.ready ## create .venv with all that is locked; CPU=1: without what GPUs need

$(VENV)/.ready: requirements.lock pyproject.toml
	@command -v uv >/dev/null || python3 -m pip install -q --root-user-action=ignore uv
	@test -x $(PY) || uv venv -q --python ">=3.11" $(VENV)
	$(LOCKED) | uv pip install -q --python $(PY) $(BACKEND) -r -
	uv pip install -q --python $(PY) --no-deps -e .
	@uv pip install -q --python $(PY) $(COMPILED) 2>/dev/null \
		|| echo "note: no C compiler, so no PESQ (extra quality)"
	@touch $@

demo: setup     ## fetch real speech, run Fig. 2e at profile mini, show verdicts and a page (20 to 30 min)
	@echo "== Fig. 2e at profile mini: plan, train, time, report, page, verdicts. The training time is"
	@echo "== estimated below; the rest takes about 2 min. The same command continues a stopped demo."
	$(TISDISS) plan fig2e --profile mini
	$(MAKE) --no-print-directory fig2e PROFILE=mini
	$(TISDISS) page fig2e $(OUT)
	@echo; echo "== The paper's claims, decided:"
	@$(TISDISS) claims fig2e --profile mini || test $$? = 1
	@echo; echo "== Main figure: $(DEMO)/fig2e/fig2e.png"
	@echo "== Open in a browser (figures, tables, sounds at every depth): $(DEMO)/report.html"

$(STUDIES): setup ## run a study at PROFILE=smoke|mini|cpu|lab|paper and write its report
	$(TISDISS) run $@ --profile $(PROFILE)
	$(TISDISS) time $@ --profile $(PROFILE)
	$(TISDISS) report $@ --profile $(PROFILE) $(OUT)

paper: setup    ## all eleven tables and figures at PROFILE; shared runs are trained once
	$(TISDISS) run $(STUDIES) --profile $(PROFILE)
	$(TISDISS) time $(STUDIES) --profile $(PROFILE)
	$(TISDISS) report $(STUDIES) --profile $(PROFILE) $(OUT)

campaign: setup ## all studies at profile cpu, two runs at a time, for HOURS=3; goes on from reports and runs
	@for study in $(CAMPAIGN); do \
		test ! -f reports/$$study/provenance.json || $(TISDISS) restore $$study --profile cpu; done
	-OMP_NUM_THREADS=1 nice -n 19 $(TISDISS) run $(CAMPAIGN) --profile cpu --until-decided \
		--max-hours $(HOURS) --jobs 2 --threads 1
	@for study in $(CAMPAIGN); do $(TISDISS) report $$study --profile cpu $(OUT) || true; done

claims: setup   ## decide every claim of the paper at PROFILE
	$(TISDISS) claims $(STUDIES) --profile $(PROFILE)

report: setup   ## from all reports: composed Fig. 2, the list of studies, one offline page
	$(TISDISS) compose $(OUT)
	$(TISDISS) page $(OUT)

check-tex: setup ## compile all tables and figures into build/proof.pdf (needs a TeX)
	$(TISDISS) check-tex $(OUT)

test: setup     ## the default test suite
	OMP_NUM_THREADS=1 $(PY) -m pytest -q

bench: setup    ## speed against a plain reference form, into build/benchmarks
	$(PY) benchmarks/bench.py --threads 1 --quick $(if $(REPORTS),--out "$(REPORTS)/benchmarks")

drill: setup    ## fault injection: kills, full disks, Slurm, MLflow servers; prints R1-R19
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -m drill tests/engines

check: setup    ## formatting, lint, types, schemas
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy tisdiss
	$(TISDISS) schema | diff - schemas/study.schema.json

ui: setup       ## MLflow in the browser, with a link to each study's charts
	$(TISDISS) ui

model: setup    ## train the shipped model again (SPEECH=/path/to/speakers; CPU hours)
	$(TISDISS) run model --profile cpu
	$(TISDISS) time model --profile cpu
	$(TISDISS) report model --profile cpu $(OUT)

schema: setup   ## write the JSON Schema that editors use for studies
	$(TISDISS) schema > schemas/study.schema.json

lock:           ## resolve requirements.lock from pyproject.toml
	uv pip compile -q --extra dev --no-header --no-annotate --python-version 3.11 pyproject.toml \
		-o requirements.lock

gpu-dry: setup  ## rehearse scripts/gpu_run.sh on this CPU at profile smoke
	OMP_NUM_THREADS=1 $(PY) scripts/gpu_run.py --dry-run --out build/gpu --minutes 2 fig2a
