
#include "ngx_pulse_conversation.h"


static ngx_int_t ngx_pulse_citation_lost(ngx_pulse_answer_pt handler,
    void *ctx, const ngx_pulse_json_value_t *v);
static int64_t ngx_pulse_citation_index(const ngx_pulse_json_value_t *v,
    const char *key);


/* what is told of a source has the same names at nearly all vendors */

ngx_int_t
ngx_pulse_cite(ngx_pulse_answer_pt handler, void *ctx, ngx_uint_t choice,
    ngx_uint_t unit, const ngx_pulse_json_value_t *v)
{
    ngx_uint_t                 i;
    ngx_pulse_citation_t       citation;
    ngx_pulse_json_value_t    *member;
    ngx_pulse_answer_event_t   ev;

    struct {
        const char            *key;
        ngx_str_t             *value;
    } members[] = {
        { "uri", &citation.url },
        { "url", &citation.url },
        { "title", &citation.title },
        { "cited_text", &citation.text },
        { "content", &citation.text },
        { NULL, NULL }
    };

    ngx_memzero(&citation, sizeof(ngx_pulse_citation_t));
    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    for (i = 0; members[i].key; i++) {
        member = ngx_pulse_json_get(v, members[i].key);

        if (member && member->type == NGX_PULSE_JSON_STRING) {
            *members[i].value = member->string;
        }
    }

    if (citation.url.len == 0) {
        return ngx_pulse_citation_lost(handler, ctx, v);
    }

    citation.unit = unit;
    citation.start = ngx_pulse_citation_index(v, "start_index");
    citation.end = ngx_pulse_citation_index(v, "end_index");

    ev.type = NGX_PULSE_ANSWER_CITATION;
    ev.choice = choice;
    ev.citation = &citation;

    return handler(ctx, &ev);
}


ngx_int_t
ngx_pulse_cite_all(ngx_pulse_answer_pt handler, void *ctx, ngx_uint_t choice,
    ngx_uint_t unit, const ngx_pulse_json_value_t *v)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *list, *inner;

    rc = NGX_OK;
    list = ngx_pulse_json_get(v, "annotations");

    if (list == NULL) {
        list = ngx_pulse_json_get(v, "citations");
    }

    if (list == NULL || list->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_OK;
    }

    for (list = list->children; list && rc == NGX_OK; list = list->next) {

        /* chat has it in an object of its own, Responses has not */

        inner = ngx_pulse_json_get(list, "url_citation");
        rc = ngx_pulse_cite(handler, ctx, choice, unit, inner ? inner : list);
    }

    return rc;
}


/* of a document or a file, that only the provider has */

static ngx_int_t
ngx_pulse_citation_lost(ngx_pulse_answer_pt handler, void *ctx,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_json_value_t  *type;

    static const ngx_str_t  unnamed = ngx_string("citation");

    type = ngx_pulse_json_get(v, "type");

    return ngx_pulse_lose(handler, ctx,
                          (type && type->type == NGX_PULSE_JSON_STRING)
                          ? &type->string : &unnamed);
}


ngx_int_t
ngx_pulse_lose(ngx_pulse_answer_pt handler, void *ctx, const ngx_str_t *name)
{
    ngx_pulse_answer_event_t  ev;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_LOST;
    ev.name = *name;

    return handler(ctx, &ev);
}


static int64_t
ngx_pulse_citation_index(const ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, key);

    if (member == NULL || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &n) != NGX_OK || n < 0)
    {
        return 0;
    }

    return n;
}


void
ngx_pulse_cited(const ngx_pulse_citation_t *citation, int64_t base,
    ngx_pulse_buf_t *b)
{
    int64_t  start, end;

    start = citation->start - base;
    end = citation->end - base;

    /* it is of a part before */

    if (start < 0) {
        start = 0;
        end = 0;
    }

    ngx_pulse_json_string(b, "url", &citation->url);
    ngx_pulse_json_string(b, "title", &citation->title);
    ngx_pulse_json_number(b, "start_index", start);
    ngx_pulse_json_number(b, "end_index", ngx_max(end, start));

    if (citation->text.len) {
        ngx_pulse_json_string(b, "content", &citation->text);
    }
}
