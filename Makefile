# Thin on purpose: every target is one script or one make of nginx's own.

# make                             the module, for Debian's nginx (nginx-dev)
# make NGX_SRC=dir                 the module and nginx, of a source tree
# make NGX_SRC=dir STATIC=1        nginx with the module in it
# make CC=clang BUILD=build-clang  another compiler, in a place of its own

NGX_SRC ?= $(NGINX_SRC)
CC ?= cc

ifeq ($(NGX_SRC),)
BUILD ?= build
SRC_DIR = /usr/share/nginx/src
TARGETS = modules
else ifeq ($(STATIC),)
BUILD ?= build-src
SRC_DIR = $(abspath $(BUILD))/nginx/tree
TARGETS = binary modules
else
BUILD ?= build-static
SRC_DIR = $(abspath $(BUILD))/nginx/tree
TARGETS = binary
endif

MODULE = $(BUILD)/nginx/ngx_http_pulse_module.so

all: build

build: module sidecar

module: $(BUILD)/nginx/Makefile
	$(MAKE) -s -f $(abspath $(BUILD))/nginx/Makefile -C $(SRC_DIR) $(TARGETS)

# a source that comes or goes is a reason to configure anew

SOURCES = $(wildcard ngx_pulse_*/*.[ch] ngx_pulse_gateway/dialects/*.[ch])

ifneq ($(SOURCES),$(file < $(BUILD)/sources))
$(shell mkdir -p $(BUILD) && printf '%s' '$(SOURCES)' > $(BUILD)/sources)
endif

$(BUILD)/nginx/Makefile: config conf/bin/configure-module $(BUILD)/sources
	NGX_SRC='$(NGX_SRC)' STATIC='$(STATIC)' \
	    conf/bin/configure-module $(abspath $(BUILD))/nginx

include ngx_pulse_docs/sidecar/sidecar.mk

# t/c/*_test.c and fuzz/fuzz_*.c

include t/c/unit.mk

# bench and bench-smoke

include bench/bench.mk

# the whole studio: up to Ctrl-C, or in the background

run up: deps
	@echo '  building'
	@$(MAKE) -s build
	@conf/bin/studio $@

down:
	@conf/bin/studio down

deps:
	@conf/bin/packages install

# the tests: suites of t/ and unit tests in C; the last line counts them

test: deps
	@conf/bin/packages install test
	@$(MAKE) -s build draw sdk
	@t/lib/run --unit "$(MAKE) -s unit" $(SUITES)

# each recorded stream cut at each of its events, to clients of each dialect

matrix: deps build
	@PULSE_MATRIX=all t/lib/run t/dialect_cuts.t

# docs/dialects.md as a run of its suites sees it

tables: deps build
	@PULSE_TABLES=write t/lib/run $(TABLES)

TABLES = $(shell sed -n 's/^<!-- .*: \(t.*\) -->/\1/p' docs/dialects.md)

# random schedules of faults: SEED, SCHEDULES

chaos: build
	@SEED=$(SEED) SCHEDULES=$(or $(SCHEDULES),200) t/lib/run t/chaos.t

# without a registry their suites are skipped, and say so

sdk: t/sdk/node_modules/.installed

t/sdk/node_modules/.installed: t/sdk/package.json
	@if npm install --prefix t/sdk --no-package-lock --no-audit --no-fund \
	    --loglevel=error; then touch $@; else echo 'no SDKs'; fi

asan:
	@MAKE="$(MAKE)" conf/bin/test-asan $(SUITES)

valgrind: build
	@conf/bin/test-valgrind $(SUITES)

clean:
	rm -rf $(BUILD)

.PHONY: all build module run up down deps test chaos matrix tables sdk asan \
    valgrind clean
