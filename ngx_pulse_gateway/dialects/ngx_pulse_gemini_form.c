
#include "ngx_pulse_gemini.h"


#define NGX_PULSE_GEMINI_PROMPT      0
#define NGX_PULSE_GEMINI_TOOLS       1
#define NGX_PULSE_GEMINI_CACHED      2
#define NGX_PULSE_GEMINI_THOUGHTS    3
#define NGX_PULSE_GEMINI_CANDIDATES  4
#define NGX_PULSE_GEMINI_COUNTS      5


static void ngx_pulse_gemini_form_usage(ngx_pulse_gemini_reader_t *rd,
    const ngx_pulse_json_value_t *usage);
static const ngx_pulse_json_value_t *ngx_pulse_gemini_lone(
    const ngx_pulse_json_value_t *v, const char *key);
static ngx_uint_t ngx_pulse_gemini_bears(const ngx_pulse_json_value_t *v,
    const char **names);
static ngx_uint_t ngx_pulse_gemini_has_usage(const ngx_pulse_json_value_t *v);
static void ngx_pulse_gemini_count(ngx_pulse_chat_usage_t *usage,
    const uint64_t *figures);


static const char  *ngx_pulse_gemini_counts[] = {
    "promptTokenCount", "toolUsePromptTokenCount", "cachedContentTokenCount",
    "thoughtsTokenCount", "candidatesTokenCount"
};


/* A chunk that has a piece of one text, and figures, and nothing else. */

void
ngx_pulse_gemini_form(ngx_pulse_gemini_reader_t *rd, const ngx_str_t *data,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_form_t              *form;
    const ngx_pulse_json_value_t  *candidate, *content, *part, *text;

    static const char  *of_chunk[] = { "candidates", "usageMetadata",
                                       "modelVersion", "responseId",
                                       "createTime", NULL };
    static const char  *of_candidate[] = { "content", "index", "finishReason",
                                           NULL };
    static const char  *of_content[] = { "parts", "role", NULL };
    static const char  *of_part[] = { "text", "thought", NULL };

    form = &rd->form;
    ngx_pulse_form_forget(form);

    candidate = ngx_pulse_gemini_lone(root, "candidates");
    content = ngx_pulse_member(candidate, "content");
    part = ngx_pulse_gemini_lone(content, "parts");
    text = ngx_pulse_json_get(part, "text");

    if (text == NULL || text->type != NGX_PULSE_JSON_STRING
        || ngx_pulse_gemini_figure(candidate, "index") != 0
        || !ngx_pulse_gemini_bears(root, of_chunk)
        || !ngx_pulse_gemini_bears(candidate, of_candidate)
        || !ngx_pulse_gemini_bears(content, of_content)
        || !ngx_pulse_gemini_bears(part, of_part))
    {
        return;
    }

    rd->form_type = ngx_pulse_gemini_true(part, "thought")
                    ? NGX_PULSE_ANSWER_THINKING : NGX_PULSE_ANSWER_TEXT;

    ngx_pulse_form_add(form, text, NGX_PULSE_FORM_TEXT);
    ngx_pulse_gemini_form_usage(rd, ngx_pulse_member(root, "usageMetadata"));
    ngx_pulse_form_keep(form, data);
}


/* Figures change, those that nobody counts too. */

static void
ngx_pulse_gemini_form_usage(ngx_pulse_gemini_reader_t *rd,
    const ngx_pulse_json_value_t *usage)
{
    ngx_uint_t                     i;
    const ngx_pulse_json_value_t  *v;

    ngx_pulse_form_numbers(&rd->form, usage);

    rd->form_usage = ngx_pulse_gemini_has_usage(usage);

    for (i = 0; i < NGX_PULSE_GEMINI_COUNTS; i++) {
        v = ngx_pulse_member(usage, ngx_pulse_gemini_counts[i]);

        if (v && v->type == NGX_PULSE_JSON_NUMBER) {
            ngx_pulse_form_add(&rd->form, v, NGX_PULSE_FORM_TEXT + 1 + i);
        }
    }
}


/* The only element of a list, or NULL. */

static const ngx_pulse_json_value_t *
ngx_pulse_gemini_lone(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_pulse_json_value_t  *list;

    list = ngx_pulse_member(v, key);

    if (list == NULL || list->type != NGX_PULSE_JSON_ARRAY
        || list->nelts != 1)
    {
        return NULL;
    }

    return list->children;
}


/* 1 if an object has no members but those. */

static ngx_uint_t
ngx_pulse_gemini_bears(const ngx_pulse_json_value_t *v, const char **names)
{
    ngx_uint_t                     i;
    const ngx_pulse_json_value_t  *member;

    if (v == NULL || v->type != NGX_PULSE_JSON_OBJECT) {
        return 0;
    }

    for (member = v->children; member; member = member->next) {

        for (i = 0; names[i]; i++) {
            if (ngx_pulse_is(&member->key, names[i])) {
                break;
            }
        }

        if (names[i] == NULL) {
            return 0;
        }
    }

    return 1;
}


/* A chunk like the last. */

ngx_int_t
ngx_pulse_gemini_again(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_str_t *values)
{
    int64_t                     n;
    uint64_t                    figures[NGX_PULSE_GEMINI_COUNTS];
    ngx_uint_t                  i;
    const ngx_str_t            *value;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_gemini_reader_t  *rd;

    rd = chunk->rd;

    if (rd->failed) {
        return NGX_OK;
    }

    if (rd->form_usage) {

        for (i = 0; i < NGX_PULSE_GEMINI_COUNTS; i++) {
            value = &values[NGX_PULSE_FORM_TEXT + 1 + i];
            n = 0;

            if (value->len) {
                (void) ngx_pulse_json_int(value, &n);
            }

            figures[i] = n;
        }

        ngx_pulse_gemini_count(&rd->usage, figures);
    }

    if (values[NGX_PULSE_FORM_TEXT].len == 0) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = rd->form_type;
    ev.text = values[NGX_PULSE_FORM_TEXT];

    return chunk->handler(chunk->ctx, &ev);
}


/*
 * Each chunk's figures replace the last, they are never added up; some have
 * none.  What tools of the provider's put in is not in the prompt's figure,
 * thoughts are not in that of candidates.
 */

void
ngx_pulse_gemini_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *v)
{
    uint64_t    figures[NGX_PULSE_GEMINI_COUNTS];
    ngx_uint_t  i;

    if (!ngx_pulse_gemini_has_usage(v)) {
        return;
    }

    for (i = 0; i < NGX_PULSE_GEMINI_COUNTS; i++) {
        figures[i] = ngx_pulse_gemini_figure(v, ngx_pulse_gemini_counts[i]);
    }

    ngx_pulse_gemini_count(usage, figures);
}


static ngx_uint_t
ngx_pulse_gemini_has_usage(const ngx_pulse_json_value_t *v)
{
    return ngx_pulse_member(v, "promptTokenCount")
           || ngx_pulse_member(v, "totalTokenCount")
           || ngx_pulse_member(v, "candidatesTokenCount");
}


static void
ngx_pulse_gemini_count(ngx_pulse_chat_usage_t *usage, const uint64_t *figures)
{
    ngx_memzero(usage, sizeof(ngx_pulse_chat_usage_t));

    usage->known = 1;
    usage->input = figures[NGX_PULSE_GEMINI_PROMPT]
                   + figures[NGX_PULSE_GEMINI_TOOLS];
    usage->cached = figures[NGX_PULSE_GEMINI_CACHED];
    usage->reasoning = figures[NGX_PULSE_GEMINI_THOUGHTS];
    usage->output = figures[NGX_PULSE_GEMINI_CANDIDATES] + usage->reasoning;
}


uint64_t
ngx_pulse_gemini_figure(const ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    if (member == NULL
        || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &n) != NGX_OK
        || n < 0)
    {
        return 0;
    }

    return n;
}
