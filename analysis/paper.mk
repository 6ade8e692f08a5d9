# The study, from the shipped observables to docs/study.md: `make paper` from the root of the
# project, or `make -f analysis/paper.mk`.  A part is made again when its script or what it reads is
# newer.  Parts go side by side on the processes that JOBS allows.
PYTHON ?= .venv/bin/python
OUT := out/study
SHIPPED := data/grokking/observables.nc data/study/observables.nc
SIZES := fraction_70 fraction_60 recall
CLOCKS := clock_p43 clock_p59
SETS := $(SIZES) $(CLOCKS)
# What every part is made by: the package, too.
COMMON := analysis/study.py constraints.txt $(shell find src/heatcap -name '*.py')
PARTS := $(foreach set,$(SIZES),$(addprefix $(OUT)/$(set).,events.json leads.json heights.json)) \
	$(foreach set,$(filter-out recall,$(SIZES)),$(OUT)/$(set).robust.json) \
	$(addprefix $(OUT)/,pooled.json clock.json scan.json systems.json plan.json)

# One thread each: two processes with threads of their own are slower than one.
export OMP_NUM_THREADS := 1
.DELETE_ON_ERROR:
.PHONY: study

study: docs/study.md

docs/study.md: analysis/12_page.py analysis/study.py analysis/study.md.j2 analysis/captions.toml analysis/literature.toml analysis/results.json
	$(PYTHON) $< analysis/results.json --figures $(OUT)/figures --captions $(OUT)/captions.tex -o $@

analysis/results.json: analysis/11_results.py $(COMMON) $(OUT)/runs.csv $(PARTS)
	$(PYTHON) $< $(OUT)/runs.csv $(PARTS) -o $@

$(OUT)/runs.csv: analysis/01_select.py $(COMMON) $(SHIPPED)
	$(PYTHON) $< $(SHIPPED) -o $@
$(SETS:%=$(OUT)/%.nc): $(OUT)/runs.csv
	@test -s $@ || { rm -f $<; echo "$@ is gone: run make again" >&2; exit 1; }

$(OUT)/%.events.json: analysis/02_events.py $(COMMON) $(OUT)/%.nc
	$(PYTHON) $< $(OUT)/$*.nc -o $@
$(OUT)/%.leads.json: analysis/03_leads.py $(COMMON) $(OUT)/%.nc
	$(PYTHON) $< $(OUT)/$*.nc -o $@
$(OUT)/%.heights.json: analysis/04_heights.py $(COMMON) $(OUT)/%.nc
	$(PYTHON) $< $(OUT)/$*.nc -o $@
COMPARED := data/grokking/observables.nc $(OUT)/fraction_60.nc
$(OUT)/pooled.json: analysis/05_pooled.py $(COMMON) $(COMPARED)
	$(PYTHON) $< $(COMPARED) -o $@
$(OUT)/clock.json: analysis/06_clock.py $(COMMON) $(CLOCKS:%=$(OUT)/%.nc)
	$(PYTHON) $< $(CLOCKS:%=$(OUT)/%.nc) -o $@
$(OUT)/scan.json: analysis/07_scan.py $(COMMON) $(wildcard data/grokking/runs/*.h5)
	$(PYTHON) $< data/grokking/runs -o $@
$(OUT)/systems.json: analysis/08_systems.py analysis/shares.py $(COMMON)
	$(PYTHON) $< -o $@
PLANNED := $(OUT)/fraction_70.heights.json
$(OUT)/plan.json: analysis/09_plan.py analysis/shares.py $(COMMON) $(PLANNED)
	$(PYTHON) $< $(PLANNED) -o $@
$(OUT)/%.robust.json: analysis/10_robust.py $(COMMON) $(OUT)/%.nc
	$(PYTHON) $< $(OUT)/$*.nc -o $@

# Many hours: trains every run of data/study again, and makes the file that ships.
.PHONY: sweep
RUNS ?= runs
sweep:
	for config in data/study/*.toml; do \
	    $(dir $(PYTHON))heatcap-train run $$config -o $(RUNS) --resume || exit 1; done
	@mkdir -p $(OUT)
	$(dir $(PYTHON))heatcap observe $(RUNS) -o $(OUT)/observables.nc
	$(PYTHON) analysis/00_ship.py $(OUT)/observables.nc $(RUNS) -o data/study/observables.nc
	cd data/study && sha256sum observables.nc *.toml > SHA256SUMS
