
#include <sys/resource.h>
#include "pulse_cv.h"
#include "pulse_docx.h"
#include "pulse_pdf.h"
#include "pulse_pptx.h"
#include "unit.h"


/*
 * Draws requests as the sidecar does, without it:
 *
 *     draw [-n TIMES] REQUEST.json FILE.(docx|pptx|pdf) ...
 *
 * A request with slides or a topic is a deck's, any other a CV's; the name of
 * the file says what is written.  With -n each is drawn again that often, and
 * a line says what one cost: "FILE milliseconds kilobytes", CPU of the
 * process with reading the request, after the first; and the peak of its
 * memory so far.
 */

typedef struct {
    ngx_str_t         request;
    const char       *file;
    ngx_pulse_buf_t   out;
} draw_t;


static ngx_int_t draw_one(draw_t *draw);
static ngx_int_t draw_cv(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    draw_t *draw);
static ngx_int_t draw_deck(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    draw_t *draw);
static ngx_int_t draw_refused(pulse_form_t *form, draw_t *draw);
static ngx_int_t draw_no_file(void *ctx, ngx_pool_t *pool,
    const ngx_str_t *id, ngx_str_t *data);
static ngx_int_t draw_times(draw_t *draw, ngx_uint_t times);
static double draw_milliseconds(long *kilobytes);
static ngx_int_t draw_save(draw_t *draw);


int
main(int argc, char **argv)
{
    int         i;
    draw_t      draw;
    ngx_int_t   rc;
    ngx_uint_t  times;

    i = 1;
    times = 0;

    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        times = atoi(argv[2]);
        i = 3;
    }

    if (pulse_docx_init() != NGX_OK || pulse_pptx_init() != NGX_OK) {
        return 1;
    }

    for (rc = NGX_OK; i + 1 < argc && rc == NGX_OK; i += 2) {
        draw.request = unit_file(argv[i]);
        draw.file = argv[i + 1];
        ngx_pulse_buf_init(&draw.out, 0);

        rc = draw.request.data ? draw_one(&draw) : NGX_ERROR;

        if (rc == NGX_OK && times) {
            rc = draw_times(&draw, times);
        }

        if (rc == NGX_OK) {
            rc = draw_save(&draw);
        }

        ngx_pulse_buf_free(&draw.out);
        free(draw.request.data);
    }

    pulse_docx_done();
    pulse_pptx_done();

    return rc == NGX_OK ? 0 : 1;
}


static ngx_int_t
draw_one(draw_t *draw)
{
    ngx_int_t                rc;
    ngx_pool_t              *pool;
    pulse_form_t             form;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    static const ngx_pulse_json_limits_t  limits = {
        32 * 1024 * 1024, 32, 65536, 1024
    };

    pool = unit_pool();
    draw->out.len = 0;

    if (pulse_form_init(&form, pool) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    v = ngx_pulse_json_tree(pool, draw->request.data, draw->request.len,
                            &limits, &err);

    if (v == NULL) {
        fprintf(stderr, "%s: no JSON: %s\n", draw->file, err.reason);
        rc = NGX_ERROR;

    } else if (ngx_pulse_json_get(v, "slides")
               || ngx_pulse_json_get(v, "topic"))
    {
        rc = draw_deck(&form, v, draw);

    } else {
        rc = draw_cv(&form, v, draw);
    }

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
draw_cv(pulse_form_t *form, const ngx_pulse_json_value_t *v, draw_t *draw)
{
    pulse_cv_t         cv;
    pulse_document_t  *document;

    pulse_cv_read(form, v, "ar", &cv);

    if (form->rc != NGX_OK) {
        return draw_refused(form, draw);
    }

    document = pulse_cv_document(form->pool, &cv);

    if (document == NULL) {
        return NGX_ERROR;
    }

    return strstr(draw->file, ".pdf")
           ? pulse_pdf_write_document(form->pool, document, &draw->out)
           : pulse_docx_write(form->pool, document, &draw->out);
}


static ngx_int_t
draw_deck(pulse_form_t *form, const ngx_pulse_json_value_t *v, draw_t *draw)
{
    pulse_deck_t  deck;

    pulse_deck_read(form, v, "ar", draw_no_file, NULL, &deck);

    if (form->rc != NGX_OK) {
        return draw_refused(form, draw);
    }

    return strstr(draw->file, ".pdf")
           ? pulse_pdf_write_deck(form->pool, &deck, &draw->out)
           : pulse_pptx_write(form->pool, &deck, &draw->out);
}


static ngx_int_t
draw_refused(pulse_form_t *form, draw_t *draw)
{
    fprintf(stderr, "%s: %.*s: %s\n", draw->file, (int) form->pointer.len,
            form->pointer.data, pulse_form_reason(form, 0));

    return NGX_ERROR;
}


static ngx_int_t
draw_no_file(void *ctx, ngx_pool_t *pool, const ngx_str_t *id,
    ngx_str_t *data)
{
    return NGX_DECLINED;
}


static ngx_int_t
draw_times(draw_t *draw, ngx_uint_t times)
{
    long        kilobytes;
    double      start, end;
    ngx_uint_t  i;

    start = draw_milliseconds(&kilobytes);

    for (i = 0; i < times; i++) {
        if (draw_one(draw) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    end = draw_milliseconds(&kilobytes);

    printf("%s %.3f %ld\n", draw->file, (end - start) / times, kilobytes);

    return NGX_OK;
}


static double
draw_milliseconds(long *kilobytes)
{
    struct rusage  usage;

    (void) getrusage(RUSAGE_SELF, &usage);

    *kilobytes = usage.ru_maxrss;

    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000.0
           + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000.0;
}


static ngx_int_t
draw_save(draw_t *draw)
{
    FILE    *file;
    size_t   n;

    file = fopen(draw->file, "w");

    if (file == NULL) {
        perror(draw->file);
        return NGX_ERROR;
    }

    n = fwrite(draw->out.data, 1, draw->out.len, file);

    return (fclose(file) == 0 && n == draw->out.len) ? NGX_OK : NGX_ERROR;
}
