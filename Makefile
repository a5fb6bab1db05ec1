# Thin on purpose: every target is one script or one make of nginx's own.

BUILD ?= build
CC ?= cc

MODULE = $(BUILD)/nginx/ngx_http_pulse_module.so

all: build

build: module sidecar

# Debian's nginx-dev: headers and configure, no sources

module: $(BUILD)/nginx/Makefile
	$(MAKE) -s -f $(abspath $(BUILD))/nginx/Makefile \
	    -C /usr/share/nginx/src modules

# a source that comes or goes is a reason to configure anew

SOURCES = $(wildcard ngx_pulse_*/*.[ch] ngx_pulse_gateway/dialects/*.[ch])

ifneq ($(SOURCES),$(file < $(BUILD)/sources))
$(shell mkdir -p $(BUILD) && printf '%s' '$(SOURCES)' > $(BUILD)/sources)
endif

$(BUILD)/nginx/Makefile: config conf/bin/configure-module $(BUILD)/sources
	conf/bin/configure-module $(abspath $(BUILD))/nginx

include ngx_pulse_docs/sidecar/sidecar.mk

# the whole studio: up to Ctrl-C, or in the background

run up: deps
	@$(MAKE) -s build
	@conf/bin/studio $@

down:
	@conf/bin/studio down

deps:
	@conf/bin/packages install

# the tests: suites of t/ and unit tests in C; the last line counts them

test: deps
	@conf/bin/packages install test
	@$(MAKE) -s build sdk
	@t/lib/run --unit "$(MAKE) -s unit" $(SUITES)

sdk: t/sdk/node_modules/.package-lock.json

t/sdk/node_modules/.package-lock.json: t/sdk/package.json
	@npm install --prefix t/sdk --no-package-lock --no-audit --no-fund \
	    --loglevel=error

asan:
	@MAKE="$(MAKE)" conf/bin/test-asan $(SUITES)

valgrind: build
	@conf/bin/test-valgrind $(SUITES)

clean:
	rm -rf $(BUILD)

.PHONY: all build module run up down deps test sdk asan valgrind clean
