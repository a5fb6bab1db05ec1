
#include "ngx_pulse_gemini.h"


static void ngx_pulse_gemini_answer_part(const ngx_pulse_part_t *part,
    ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_answer_notes(
    const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b);


void
ngx_pulse_gemini_write_answer(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, int64_t created, ngx_pulse_buf_t *b)
{
    const ngx_pulse_part_t  *part;

    if (collector->failed) {
        ngx_pulse_gemini_write_error(&collector->error,
                                     collector->error.quota ? 402 : 503, b);
        return;
    }

    ngx_pulse_buf_literal(b, "{\"candidates\":[{\"content\":{");

    if (collector->parts) {
        ngx_pulse_buf_literal(b, "\"parts\":[");

        for (part = collector->parts; part; part = part->next) {
            ngx_pulse_gemini_answer_part(part, b);
        }

        ngx_pulse_buf_literal(b, "],");
    }

    ngx_pulse_buf_literal(b, "\"role\":\"model\"}");

    if (collector->finished) {
        ngx_pulse_json_literal(b, "finishReason",
                               ngx_pulse_gemini_reasons[collector->finish]);
    }

    ngx_pulse_buf_literal(b, ",\"index\":0");
    ngx_pulse_gemini_answer_notes(collector, cv, b);
    ngx_pulse_buf_literal(b, "}]");
    ngx_pulse_gemini_figures(&collector->usage, b);

    if (collector->model.len) {
        ngx_pulse_json_string(b, "modelVersion", &collector->model);
    }

    if (collector->id.len) {
        ngx_pulse_json_string(b, "responseId", &collector->id);
    }

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_gemini_answer_part(const ngx_pulse_part_t *part, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');

    switch (part->type) {

    case NGX_PULSE_PART_CALL:
        ngx_pulse_gemini_call_part(&part->id, &part->name, &part->arguments,
                                   &part->signature, b);
        break;

    case NGX_PULSE_PART_THINKING:
        ngx_pulse_json_string(b, "text", &part->text);
        ngx_pulse_buf_literal(b, ",\"thought\":true");

        if (part->signature.len) {
            ngx_pulse_gemini_wrap(NGX_PULSE_GEMINI_SIGNATURE,
                                  &part->signature, b);
        }

        break;

    case NGX_PULSE_PART_REDACTED:
        ngx_pulse_buf_literal(b, "\"text\":\"\",\"thought\":true");
        ngx_pulse_gemini_wrap(NGX_PULSE_GEMINI_REDACTED, &part->data, b);
        break;

    case NGX_PULSE_PART_IMAGE:
        ngx_pulse_gemini_image(&part->media_type, &part->data, b);
        break;

    default: /* NGX_PULSE_PART_TEXT, NGX_PULSE_PART_REFUSAL */
        ngx_pulse_json_string(b, "text", &part->text);

        if (part->signature.len) {
            ngx_pulse_json_string(b, "thoughtSignature", &part->signature);
        }
    }

    ngx_pulse_buf_char(b, '}');
}


/* what is said of all text at once */

static void
ngx_pulse_gemini_answer_notes(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    ngx_str_t                    all;
    ngx_pulse_buf_t              logprobs;
    const ngx_pulse_part_t      *part;
    ngx_pulse_gemini_found_t     found;
    const ngx_pulse_citation_t  *citation;

    ngx_pulse_buf_init(&logprobs, 0);
    ngx_pulse_buf_init(&found.chunks, 0);
    ngx_pulse_buf_init(&found.supports, 0);
    found.n = 0;

    for (part = collector->parts; part; part = part->next) {

        if (part->logprobs.len && logprobs.len) {
            ngx_pulse_buf_char(&logprobs, ',');
        }

        ngx_pulse_buf_str(&logprobs, &part->logprobs);

        for (citation = part->citations; citation; citation = citation->next) {
            ngx_pulse_gemini_add_source(cv, citation, &found);
        }
    }

    all.data = logprobs.data;
    all.len = logprobs.len;

    ngx_pulse_gemini_put_logprobs(&all, cv->pool->log, b);
    ngx_pulse_gemini_put_sources(&found, b);

    if (logprobs.failed) {
        b->failed = 1;
    }

    ngx_pulse_buf_free(&found.supports);
    ngx_pulse_buf_free(&found.chunks);
    ngx_pulse_buf_free(&logprobs);
}
