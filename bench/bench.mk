# The benchmark: bench/run says what it measures and how

BENCH_CFLAGS = -O2 -g -W -Wall -Wextra -Werror -D_GNU_SOURCE

$(BUILD)/bench/%.o: bench/%.c bench/bench.h
	@mkdir -p $(@D)
	@$(CC) -c $(BENCH_CFLAGS) -o $@ $<

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/bench/bench.o
	@$(CC) -o $@ $^

# blocks of the studio without nginx, linked as the unit tests are, and those
# of the libraries to stand beside them that are installed

BESIDE_LIBS = $(shell for lib in libjwt libpcre2-8; do \
    pkg-config --libs $$lib 2> /dev/null; done) -lhiredis

$(BUILD)/bench/blocks: bench/blocks.c bench/beside.c bench/blocks.h \
                       $(UNIT_OBJECTS:%=$(BUILD)/unit/plain/%) \
                       $(BUILD)/unit/plain/pure.a
	@mkdir -p $(@D)
	@$(CC) $(PURE_CFLAGS) -O2 -o $@ $(filter-out %.h,$^) $(PURE_LIBS) \
	    $(BESIDE_LIBS)

bench-build: $(BUILD)/bench/mock $(BUILD)/bench/load $(BUILD)/bench/blocks

# without a registry the row of the peer is left out, and the table says so

$(BUILD)/bench/peer/.installed: bench/peer/package.json
	@mkdir -p $(@D) && cp $< $(@D)
	@if npm install --prefix $(@D) --no-package-lock --no-audit --no-fund \
	    --loglevel=error; then touch $@; else echo 'no peer'; fi

bench: deps
	@conf/bin/packages install bench
	@$(MAKE) -s build bench-build $(BUILD)/bench/peer/.installed
	@PULSE_BENCH_BUILD=$(abspath $(BUILD))/bench bench/run $(BENCH)
	@$(MAKE) -s bench-documents
	@$(if $(findstring --report,$(BENCH)),bench/run --parts none --report)

# rows of documents, with those of others that are installed

bench-documents: build draw $(BUILD)/bench/peer/.installed
	@bench/documents $(TIMES)

# no number is looked at: it builds, starts, and every request succeeds

bench-smoke: build bench-build
	@PULSE_BENCH_BUILD=$(abspath $(BUILD))/bench bench/run --smoke

.PHONY: bench bench-documents bench-build bench-smoke
.PRECIOUS: $(BUILD)/bench/%.o
