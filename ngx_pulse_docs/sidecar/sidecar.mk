# pulse-sidecar and pulsectl: the pure files of the module, linked with a
# pool of our own instead of nginx's.

SIDECAR = ngx_pulse_docs/sidecar
SIDECAR_OBJS = $(BUILD)/sidecar

# what documents are made with; as the system's headers, whose warnings are
# not ours

DOCUMENT_PACKAGES = fribidi libzip pangocairo fontconfig libpng libjpeg \
    libwebp
DOCUMENT_CFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags \
    $(DOCUMENT_PACKAGES)))
DOCUMENT_LIBS = $(shell pkg-config --libs $(DOCUMENT_PACKAGES))

NGX_HEADERS = $(SRC_DIR)/src

SIDECAR_CFLAGS = -std=gnu17 -O2 -g -Wall -Wextra -Wno-unused-parameter \
    -Werror -fstack-protector-strong -D_FORTIFY_SOURCE=2 -D_GNU_SOURCE \
    -pthread $(PULSE_CFLAGS) $(addprefix -I,$(NGX_HEADERS)/core \
    $(NGX_HEADERS)/event $(NGX_HEADERS)/event/modules $(NGX_HEADERS)/os/unix \
    $(BUILD)/nginx ngx_pulse_core ngx_pulse_auth ngx_pulse_docs $(SIDECAR) \
    $(SIDECAR)/documents $(SIDECAR)/payments $(SIDECAR)/storage \
    $(SIDECAR)/media ngx_pulse_gateway ngx_pulse_gateway/dialects \
    $(shell pg_config --includedir)) \
    $(DOCUMENT_CFLAGS)

PURE = ngx_pulse_buf ngx_pulse_id ngx_pulse_json ngx_pulse_json_names \
    ngx_pulse_json_string ngx_pulse_json_tree ngx_pulse_utf8 \
    ngx_pulse_base64url pulse_pool pulse_file pulse_hex pulse_store

STORAGE = $(basename $(notdir $(wildcard $(SIDECAR)/storage/*.c)))
DOCUMENTS = $(basename $(notdir $(wildcard $(SIDECAR)/documents/*.c)))

# pictures and videos, with what the gateway reads its catalogue by

MEDIA = $(basename $(notdir $(wildcard $(SIDECAR)/media/*.c))) \
    ngx_pulse_models ngx_pulse_models_find ngx_pulse_price

# what checks prompts, as the gateway does

MODERATION = pulse_moderate pulse_moderate_fetch $(basename $(notdir \
    $(wildcard ngx_pulse_gateway/ngx_pulse_moderation*.c)))

PAYMENTS = $(basename $(notdir $(wildcard $(SIDECAR)/payments/*.c)))

SIDECAR_SRCS = $(PURE) $(DOCUMENTS) $(PAYMENTS) $(MEDIA) $(MODERATION) \
    ngx_pulse_link pulse_sidecar \
    pulse_log pulse_http pulse_worker pulse_reply pulse_pacer pulse_demo \
    pulse_answer pulse_embedding pulse_work pulse_jobs pulse_upkeep \
    pulse_outbox pulse_mail pulse_smtp $(STORAGE) pulse_links pulse_files \
    pulse_uploads pulse_clamd \
    pulse_documents pulse_slides pulse_chat pulse_ask pulse_once \
    pulse_summary pulse_child pulse_edits pulse_edits_job \
    pulse_poppler pulse_hold pulse_task \
    pulse_tasks pulse_watch pulse_payments pulse_provider \
    pulse_webhooks pulse_fetch pulse_invoices pulse_routes \
    ngx_pulse_jwk ngx_pulse_jwk_sign ngx_pulse_jwks ngx_pulse_jwt
PULSECTL_SRCS = $(PURE) pulse_ctl pulse_ctl_jobs pulse_ctl_mail \
    pulse_ctl_payments pulse_migrate pulse_people pulse_keyring

SIDECAR_HEADERS = $(wildcard ngx_pulse_core/ngx_pulse_*.h \
    ngx_pulse_auth/ngx_pulse_*.h ngx_pulse_docs/*.h $(SIDECAR)/*.h \
    $(SIDECAR)/documents/*.h $(SIDECAR)/payments/*.h $(SIDECAR)/storage/*.h \
    $(SIDECAR)/media/*.h ngx_pulse_gateway/ngx_pulse_*.h \
    ngx_pulse_gateway/dialects/*.h)

vpath %.c ngx_pulse_core ngx_pulse_auth ngx_pulse_docs $(SIDECAR) \
    $(SIDECAR)/documents $(SIDECAR)/payments $(SIDECAR)/storage \
    $(SIDECAR)/media ngx_pulse_gateway

sidecar: $(BUILD)/pulse-sidecar $(BUILD)/pulsectl

$(BUILD)/pulse-sidecar: $(SIDECAR_SRCS:%=$(SIDECAR_OBJS)/%.o)
	@echo "  $(@F)"
	@$(CC) -pthread $(PULSE_LDFLAGS) -o $@ $^ -lmicrohttpd -lpq -lyajl \
	    -lcrypto -lz -lm -lmagic -lcurl $(DOCUMENT_LIBS)

$(BUILD)/pulsectl: $(PULSECTL_SRCS:%=$(SIDECAR_OBJS)/%.o)
	@echo "  $(@F)"
	@$(CC) $(PULSE_LDFLAGS) -o $@ $^ -lpq -lyajl -lcrypto

$(SIDECAR_OBJS)/%.o: %.c $(SIDECAR_HEADERS) | $(BUILD)/nginx/Makefile
	@mkdir -p $(@D)
	@$(CC) $(SIDECAR_CFLAGS) -c -o $@ $<

.PHONY: sidecar
