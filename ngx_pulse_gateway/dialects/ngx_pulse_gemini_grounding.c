
#include "ngx_pulse_gemini.h"


/* sources of one answer that supports can point to */

#define NGX_PULSE_GEMINI_SOURCES_MAX  256


typedef struct {
    const ngx_pulse_json_value_t  *sources[NGX_PULSE_GEMINI_SOURCES_MAX];
    u_char                         cited[NGX_PULSE_GEMINI_SOURCES_MAX];
    ngx_uint_t                     n;
} ngx_pulse_gemini_sources_t;


static ngx_int_t ngx_pulse_gemini_grounded(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_support(ngx_pulse_gemini_chunk_t *chunk,
    ngx_pulse_gemini_sources_t *sources, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_source(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *source,
    const ngx_pulse_json_value_t *segment);
static ngx_int_t ngx_pulse_gemini_recited(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_lost_members(
    ngx_pulse_gemini_chunk_t *chunk, const ngx_pulse_json_value_t *v,
    const char **names);
static const ngx_pulse_json_value_t *ngx_pulse_gemini_first(
    const ngx_pulse_json_value_t *v, const char *key);
static int64_t ngx_pulse_gemini_place(const ngx_pulse_json_value_t *v,
    const char *key);


/* what a search found is of the text that came before */

ngx_int_t
ngx_pulse_gemini_sources(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *candidate)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *v;

    static const char  *lost[] = { "urlContextMetadata", NULL };

    rc = NGX_OK;
    v = ngx_pulse_member(candidate, "groundingMetadata");

    if (v && v->type == NGX_PULSE_JSON_OBJECT) {
        rc = ngx_pulse_gemini_grounded(chunk, v);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_recited(chunk,
                                      ngx_pulse_member(candidate,
                                                       "citationMetadata"));
    }

    return (rc == NGX_OK) ? ngx_pulse_gemini_lost_members(chunk, candidate,
                                                          lost)
                          : rc;
}


static ngx_int_t
ngx_pulse_gemini_grounded(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_pulse_gemini_sources_t     sources;
    const ngx_pulse_json_value_t  *element;

    static const ngx_str_t  many = ngx_string("groundingChunks");

    static const char  *lost[] = {
        "searchEntryPoint", "webSearchQueries", "imageSearchQueries",
        "retrievalQueries", "googleMapsWidgetContextToken", NULL
    };

    ngx_memzero(&sources, sizeof(ngx_pulse_gemini_sources_t));

    rc = ngx_pulse_gemini_lost_members(chunk, v, lost);

    element = ngx_pulse_gemini_first(v, "groundingChunks");

    for ( /* void */ ; element && rc == NGX_OK; element = element->next) {

        if (sources.n == NGX_PULSE_GEMINI_SOURCES_MAX) {
            rc = ngx_pulse_lose(chunk->handler, chunk->ctx, &many);
            break;
        }

        sources.sources[sources.n++] = element;
    }

    element = ngx_pulse_gemini_first(v, "groundingSupports");

    for ( /* void */ ; element && rc == NGX_OK; element = element->next) {
        rc = ngx_pulse_gemini_support(chunk, &sources, element);
    }

    /* those that no words are said to be from */

    for (i = 0; i < sources.n && rc == NGX_OK; i++) {
        if (!sources.cited[i]) {
            rc = ngx_pulse_gemini_source(chunk, sources.sources[i], NULL);
        }
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_support(ngx_pulse_gemini_chunk_t *chunk,
    ngx_pulse_gemini_sources_t *sources, const ngx_pulse_json_value_t *v)
{
    int64_t                        i;
    ngx_int_t                      rc;
    const ngx_pulse_json_value_t  *index, *segment;

    rc = NGX_OK;

    segment = ngx_pulse_member(v, "segment");
    index = ngx_pulse_gemini_first(v, "groundingChunkIndices");

    for ( /* void */ ; index && rc == NGX_OK; index = index->next) {

        if (index->type != NGX_PULSE_JSON_NUMBER
            || ngx_pulse_json_int(&index->string, &i) != NGX_OK
            || i < 0 || i >= (int64_t) sources->n)
        {
            continue;
        }

        sources->cited[i] = 1;
        rc = ngx_pulse_gemini_source(chunk, sources->sources[i], segment);
    }

    return rc;
}


/* {"web": {...}}, or one of another kind */

static ngx_int_t
ngx_pulse_gemini_source(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *source,
    const ngx_pulse_json_value_t *segment)
{
    ngx_pulse_citation_t           citation;
    ngx_pulse_answer_event_t       ev;
    const ngx_pulse_json_value_t  *v;

    v = (source->type == NGX_PULSE_JSON_OBJECT) ? source->children : NULL;

    if (v == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&citation, sizeof(ngx_pulse_citation_t));

    citation.url = ngx_pulse_gemini_string(v, "uri");
    citation.title = ngx_pulse_gemini_string(v, "title");
    citation.text = ngx_pulse_gemini_string(v, "text");

    /* of a store that only the provider has */

    if (citation.url.len == 0) {
        return ngx_pulse_lose(chunk->handler, chunk->ctx, &v->key);
    }

    citation.unit = NGX_PULSE_CITED_BYTES;
    citation.start = ngx_pulse_gemini_place(segment, "startIndex");
    citation.end = ngx_pulse_gemini_place(segment, "endIndex");
    citation.quote = ngx_pulse_gemini_string(segment, "text");

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_CITATION;
    ev.citation = &citation;

    return chunk->handler(chunk->ctx, &ev);
}


/* what a model has by heart */

static ngx_int_t
ngx_pulse_gemini_recited(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                      rc;
    ngx_pulse_citation_t           citation;
    ngx_pulse_answer_event_t       ev;
    const ngx_pulse_json_value_t  *source;

    static const ngx_str_t  lost = ngx_string("citationMetadata");

    rc = NGX_OK;
    source = ngx_pulse_gemini_first(v, "citationSources");

    if (source == NULL) {
        source = ngx_pulse_gemini_first(v, "citations");
    }

    for ( /* void */ ; source && rc == NGX_OK; source = source->next) {

        ngx_memzero(&citation, sizeof(ngx_pulse_citation_t));
        ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

        ev.type = NGX_PULSE_ANSWER_CITATION;
        ev.citation = &citation;

        citation.unit = NGX_PULSE_CITED_BYTES;
        citation.url = ngx_pulse_gemini_string(source, "uri");
        citation.title = ngx_pulse_gemini_string(source, "title");
        citation.start = ngx_pulse_gemini_place(source, "startIndex");
        citation.end = ngx_pulse_gemini_place(source, "endIndex");

        rc = citation.url.len ? chunk->handler(chunk->ctx, &ev)
                              : ngx_pulse_lose(chunk->handler, chunk->ctx,
                                               &lost);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_lost_members(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v, const char **names)
{
    ngx_int_t                      rc;
    const ngx_pulse_json_value_t  *member;

    for ( /* void */ ; *names; names++) {
        member = ngx_pulse_member(v, *names);

        if (member == NULL
            || (member->nelts == 0 && (member->type == NGX_PULSE_JSON_ARRAY
                                       || member->type
                                          == NGX_PULSE_JSON_OBJECT)))
        {
            continue;
        }

        rc = ngx_pulse_lose(chunk->handler, chunk->ctx, &member->key);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static const ngx_pulse_json_value_t *
ngx_pulse_gemini_first(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_pulse_json_value_t  *list;

    list = ngx_pulse_member(v, key);

    return (list && list->type == NGX_PULSE_JSON_ARRAY) ? list->children
                                                        : NULL;
}


static int64_t
ngx_pulse_gemini_place(const ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    if (member == NULL || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &n) != NGX_OK
        || n < 0 || n > INT32_MAX)
    {
        return 0;
    }

    return n;
}


/* the words of a source have no place in those of the web */

void
ngx_pulse_gemini_add_source(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_citation_t *citation, ngx_pulse_gemini_found_t *found)
{
    if (citation->text.len) {
        ngx_pulse_lost(cv, "citations.cited_text");
    }

    ngx_pulse_json_comma(&found->chunks);
    ngx_pulse_buf_literal(&found->chunks, "{\"web\":{");
    ngx_pulse_json_string(&found->chunks, "uri", &citation->url);
    ngx_pulse_json_string(&found->chunks, "title", &citation->title);
    ngx_pulse_buf_literal(&found->chunks, "}}");

    if (citation->to) {
        ngx_pulse_json_comma(&found->supports);
        ngx_pulse_buf_literal(&found->supports, "{\"segment\":{");
        ngx_pulse_json_number(&found->supports, "startIndex", citation->from);
        ngx_pulse_json_number(&found->supports, "endIndex", citation->to);
        ngx_pulse_buf_literal(&found->supports,
                              "},\"groundingChunkIndices\":[");
        ngx_pulse_buf_int(&found->supports, found->n);
        ngx_pulse_buf_literal(&found->supports, "]}");
    }

    found->n++;
}


void
ngx_pulse_gemini_put_sources(const ngx_pulse_gemini_found_t *found,
    ngx_pulse_buf_t *b)
{
    if (found->n == 0) {
        return;
    }

    ngx_pulse_json_key(b, "groundingMetadata");
    ngx_pulse_buf_literal(b, "{\"groundingChunks\":[");
    ngx_pulse_buf_append(b, found->chunks.data, found->chunks.len);
    ngx_pulse_buf_literal(b, "],\"groundingSupports\":[");
    ngx_pulse_buf_append(b, found->supports.data, found->supports.len);
    ngx_pulse_buf_literal(b, "]}");

    if (found->chunks.failed || found->supports.failed) {
        b->failed = 1;
    }
}
