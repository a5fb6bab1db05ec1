# C unit tests and fuzzers: programs that link the pure sources, without nginx
#
# Every t/c/NAME_test.c is run as it is built by default and again under
# ASan and UBSan; every fuzz/fuzz_NAME.c runs for FUZZ_SECONDS.

FUZZ_SECONDS ?= 20
FUZZ_CC ?= clang

PURE_NOT = ngx_pulse_core/ngx_pulse_pg% ngx_pulse_core/ngx_pulse_redis% \
    ngx_pulse_core/ngx_pulse_metrics%
PURE_SOURCES = $(filter-out $(PURE_NOT),$(wildcard \
    ngx_pulse_*/ngx_pulse_*.c ngx_pulse_gateway/dialects/ngx_pulse_*.c \
    ngx_pulse_docs/sidecar/documents/pulse_*.c \
    ngx_pulse_docs/sidecar/media/pulse_raster*.c \
    ngx_pulse_docs/sidecar/media/pulse_clip*.c \
    ngx_pulse_docs/sidecar/media/pulse_edit.c \
    ngx_pulse_docs/sidecar/pulse_child.c ngx_pulse_docs/sidecar/pulse_log.c \
    ngx_pulse_docs/sidecar/payments/pulse_*.c \
    ngx_pulse_docs/sidecar/storage/pulse_sigv4.c \
    ngx_pulse_docs/sidecar/pulse_file.c ngx_pulse_docs/sidecar/pulse_hex.c \
    $(addprefix ngx_pulse_docs/sidecar/media/pulse_,base64.c \
        address.c image_replicate.c json_stream.c multipart.c parts.c \
        parts_json.c pieces.c signature.c \
        video_answer.c video_interactions.c video_replicate.c)))
PURE_HEADERS = $(wildcard ngx_pulse_*/*.h ngx_pulse_gateway/dialects/*.h \
    ngx_pulse_docs/sidecar/documents/*.h \
    ngx_pulse_docs/sidecar/media/*.h ngx_pulse_docs/sidecar/payments/*.h \
    ngx_pulse_docs/sidecar/storage/*.h)

PURE_NGINX = /usr/share/nginx/src/src
PURE_PG := $(shell pg_config --includedir)

PURE_CFLAGS = -g -W -Wall -Wextra -Wno-unused-parameter -Werror \
    -I t/c $(addprefix -I ,$(dir $(wildcard ngx_pulse_*/.)) \
        ngx_pulse_gateway/dialects ngx_pulse_docs/sidecar/documents \
        ngx_pulse_docs/sidecar/media ngx_pulse_docs/sidecar/payments \
        ngx_pulse_docs/sidecar/storage ngx_pulse_docs/sidecar) \
    -I $(BUILD)/nginx -isystem $(PURE_PG) \
    $(DOCUMENT_CFLAGS) \
    $(addprefix -isystem $(PURE_NGINX)/,core event event/modules os/unix)
PURE_LIBS = -lyajl -lcrypto -lcurl -lz -lm $(DOCUMENT_LIBS)

PURE_SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all \
    -fno-omit-frame-pointer

# unit.c in the place of nginx, and what tests have in common

UNIT_SOURCES = $(wildcard t/c/unit*.c)
UNIT_HEADERS = $(wildcard t/c/unit*.h)
UNIT_OBJECTS = $(patsubst t/c/%.c,%.o,$(UNIT_SOURCES))

UNIT_TESTS = $(patsubst t/c/%.c,%,$(wildcard t/c/*_test.c)) simulation_test
FUZZERS = $(patsubst fuzz/%.c,%,$(wildcard fuzz/fuzz_*.c))

# $(call pure,DIRECTORY,COMPILER,FLAGS): an archive, so that a program links
# only what it uses

define pure
$(BUILD)/$(1)/pure.a: $$(patsubst %.c,$(BUILD)/$(1)/%.o, \
                                  $$(notdir $$(PURE_SOURCES)))
	@rm -f $$@ && ar crs $$@ $$^

$$(foreach s,$$(PURE_SOURCES) $$(UNIT_SOURCES),\
    $$(eval $$(call pure_object,$(1),$(2),$(3),$$s)))
endef

define pure_object
$(BUILD)/$(1)/$(basename $(notdir $(4))).o: $(4) $$(PURE_HEADERS) \
                                            $$(UNIT_HEADERS) \
                                            | $$(BUILD)/nginx/Makefile
	@mkdir -p $$(@D)
	@$(2) -c $$(PURE_CFLAGS) $(3) -o $$@ $$<
endef

$(eval $(call pure,unit/plain,$$(CC),-O2))
$(eval $(call pure,unit/sanitize,$$(CC),-O1 $$(PURE_SANITIZE)))
$(eval $(call pure,fuzz,$$(FUZZ_CC),-O1 -fsanitize=fuzzer-no-link \
                                    $$(PURE_SANITIZE)))

$(BUILD)/unit/plain/%_test: t/c/%_test.c \
                            $(UNIT_OBJECTS:%=$(BUILD)/unit/plain/%) \
                            $(BUILD)/unit/plain/pure.a
	@$(CC) $(PURE_CFLAGS) -O2 -o $@ $^ $(PURE_LIBS)

$(BUILD)/unit/sanitize/%_test: t/c/%_test.c \
                               $(UNIT_OBJECTS:%=$(BUILD)/unit/sanitize/%) \
                               $(BUILD)/unit/sanitize/pure.a
	@$(CC) $(PURE_CFLAGS) -O1 $(PURE_SANITIZE) -o $@ $^ $(PURE_LIBS)

# the simulator, whose short form is one of the unit tests

SIM_SOURCES = $(wildcard t/sim/*.c)

$(BUILD)/unit/plain/simulation_test: $(SIM_SOURCES) t/sim/sim.h \
                                     $(BUILD)/unit/plain/unit.o \
                                     $(BUILD)/unit/plain/pure.a
	@$(CC) $(PURE_CFLAGS) -O2 -o $@ $(filter-out %.h,$^) $(PURE_LIBS)

$(BUILD)/unit/sanitize/simulation_test: $(SIM_SOURCES) t/sim/sim.h \
                                        $(BUILD)/unit/sanitize/unit.o \
                                        $(BUILD)/unit/sanitize/pure.a
	@$(CC) $(PURE_CFLAGS) -O1 $(PURE_SANITIZE) -o $@ $(filter-out %.h,$^) \
	    $(PURE_LIBS)

# draws documents for suites and for the benchmark

$(BUILD)/unit/plain/draw: t/docs/draw.c $(BUILD)/unit/plain/unit.o \
                          $(BUILD)/unit/plain/pure.a
	@$(CC) $(PURE_CFLAGS) -O2 -o $@ $^ $(PURE_LIBS)

draw: $(BUILD)/unit/plain/draw

# a seed is a run: the same worlds, step by step

SEED ?= $(shell date +%s)
STEPS ?= 20000000

simulate: $(BUILD)/unit/plain/simulation_test
	@$< $(SEED) $(STEPS)

# what fuzzers of dialects share

$(BUILD)/fuzz/harness.a: fuzz/harness.c fuzz/harness.h $(PURE_HEADERS) \
                         $(UNIT_HEADERS) | $(BUILD)/nginx/Makefile
	@mkdir -p $(@D)
	@$(FUZZ_CC) -c $(PURE_CFLAGS) -O1 -fsanitize=fuzzer-no-link \
	    $(PURE_SANITIZE) -o $(@:.a=.o) $<
	@rm -f $@ && ar crs $@ $(@:.a=.o)

$(BUILD)/fuzz/fuzz_%: fuzz/fuzz_%.c $(BUILD)/fuzz/harness.a \
                      $(UNIT_OBJECTS:%=$(BUILD)/fuzz/%) $(BUILD)/fuzz/pure.a
	@$(FUZZ_CC) $(PURE_CFLAGS) -O1 -fsanitize=fuzzer $(PURE_SANITIZE) \
	    -o $@ $^ $(PURE_LIBS)

unit: $(UNIT_TESTS:%=$(BUILD)/unit/plain/%) \
      $(UNIT_TESTS:%=$(BUILD)/unit/sanitize/%)
	@t/c/run $^

fuzz: $(FUZZERS:%=$(BUILD)/fuzz/%)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run $^

.PHONY: unit draw simulate fuzz
