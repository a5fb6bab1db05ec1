
#include "pulse_document.h"


static ngx_int_t pulse_document_line(ngx_pool_t *pool,
    const pulse_span_t *spans, ngx_uint_t nspans, ngx_str_t *line);


ngx_uint_t
pulse_document_keeps(const pulse_document_t *document, ngx_uint_t n)
{
    const pulse_paragraph_t  *paragraph;

    paragraph = &document->paragraphs[n];

    /* the roles are in the order of their rank */

    return n + 1 < document->nparagraphs
           && paragraph->role < pulse_paragraph_text
           && paragraph[1].role > paragraph->role;
}


pulse_piece_t *
pulse_document_pieces(ngx_pool_t *pool, const pulse_span_t *spans,
    ngx_uint_t nspans, ngx_uint_t *rtl, ngx_uint_t *n)
{
    size_t             left, len;
    ngx_str_t          line;
    ngx_uint_t         i, nruns;
    pulse_piece_t     *pieces, *piece;
    pulse_bidi_run_t  *runs, run;

    *n = 0;

    if (pulse_document_line(pool, spans, nspans, &line) != NGX_OK) {
        return NULL;
    }

    *rtl = pulse_bidi_base(&line, *rtl);

    runs = pulse_bidi_split(pool, &line, *rtl, &nruns);
    pieces = ngx_palloc(pool, (nruns + nspans + 1) * sizeof(pulse_piece_t));

    if (runs == NULL || pieces == NULL) {
        return NULL;
    }

    left = 0;

    for (i = 0; i < nruns; i++) {
        run = runs[i];

        while (run.text.len) {

            while (left == 0) {
                left = spans->text.len;
                spans++;
            }

            len = ngx_min(left, run.text.len);

            piece = &pieces[(*n)++];

            piece->run = run;
            piece->run.text.len = len;
            piece->run.mark_after = run.mark_after && len == run.text.len;
            piece->span = spans - 1;

            run.mark_before = 0;
            run.text.data += len;
            run.text.len -= len;
            left -= len;
        }
    }

    return pieces;
}


static ngx_int_t
pulse_document_line(ngx_pool_t *pool, const pulse_span_t *spans,
    ngx_uint_t nspans, ngx_str_t *line)
{
    ngx_uint_t  i;

    line->len = 0;

    for (i = 0; i < nspans; i++) {
        line->len += spans[i].text.len;
    }

    line->data = ngx_pnalloc(pool, line->len + 1);
    if (line->data == NULL) {
        return NGX_ERROR;
    }

    line->len = 0;

    for (i = 0; i < nspans; i++) {
        ngx_memcpy(line->data + line->len, spans[i].text.data,
                   spans[i].text.len);
        line->len += spans[i].text.len;
    }

    return NGX_OK;
}
