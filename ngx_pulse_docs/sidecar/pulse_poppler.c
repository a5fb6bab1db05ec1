
#include <sys/wait.h>
#include "ngx_pulse_json.h"
#include "pulse_bidi.h"
#include "pulse_child.h"
#include "pulse_log.h"
#include "pulse_poppler.h"


#define PULSE_POPPLER_TEXT    "/usr/bin/pdftotext"
#define PULSE_POPPLER_INFO    "/usr/bin/pdfinfo"

#define PULSE_POPPLER_MEMORY  (1024UL * 1024 * 1024)
#define PULSE_POPPLER_CPU     20            /* s */
#define PULSE_POPPLER_TIME    30000         /* ms */
#define PULSE_POPPLER_SAID    16384         /* of pdfinfo */
#define PULSE_POPPLER_WORD    16            /* bytes that are a text */


static ngx_int_t pulse_poppler_info(int fd, pulse_poppler_t *pdf);
static ngx_int_t pulse_poppler_text(int fd, pulse_poppler_t *pdf);
static ngx_int_t pulse_poppler_failed(pulse_child_t *run,
    pulse_poppler_t *pdf);
static ngx_int_t pulse_poppler_clean(const ngx_pulse_buf_t *raw,
    pulse_poppler_t *pdf);
static ngx_int_t pulse_poppler_append(ngx_pulse_buf_t *b, ngx_str_t page);
static ngx_int_t pulse_poppler_run(pulse_child_t *run,
    const char *const *argv, int fd, ngx_pulse_buf_t *out);


ngx_int_t
pulse_poppler_read(const ngx_pulse_buf_t *data, pulse_poppler_t *pdf)
{
    int        fd;
    ngx_int_t  rc;

    fd = pulse_child_file(data->data, data->len);

    if (fd == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse poppler: a file cannot be given to"
                  " it: %s", strerror(errno));
        return NGX_ERROR;
    }

    rc = pulse_poppler_info(fd, pdf);

    if (rc == NGX_OK) {
        rc = pulse_poppler_text(fd, pdf);
    }

    close(fd);

    return rc;
}


static ngx_int_t
pulse_poppler_info(int fd, pulse_poppler_t *pdf)
{
    char             *p;
    ngx_int_t         rc;
    pulse_child_t     run;
    ngx_pulse_buf_t   out;

    static const char *const  argv[] = {
        PULSE_POPPLER_INFO, "/dev/stdin", NULL
    };

    ngx_pulse_buf_init(&out, PULSE_POPPLER_SAID);

    rc = pulse_poppler_run(&run, argv, fd, &out);

    if (rc == NGX_OK) {
        rc = pulse_poppler_failed(&run, pdf);
    }

    if (rc == NGX_OK) {
        ngx_pulse_buf_char(&out, '\0');

        p = out.failed ? NULL : strstr((char *) out.data, "\nPages:");
        pdf->pages = p ? strtoul(p + 7, NULL, 10) : 0;

        if (pdf->pages == 0) {
            pdf->why = pulse_poppler_broken;
            rc = NGX_DECLINED;
        }
    }

    ngx_pulse_buf_free(&out);
    ngx_pulse_buf_free(&run.err);

    return rc;
}


static ngx_int_t
pulse_poppler_text(int fd, pulse_poppler_t *pdf)
{
    ngx_int_t        rc;
    pulse_child_t    run;
    ngx_pulse_buf_t  out;

    static const char *const  argv[] = {
        PULSE_POPPLER_TEXT, "-q", "-enc", "UTF-8", "-eol", "unix", "-l",
        ngx_value(PULSE_POPPLER_PAGES), "/dev/stdin", "-", NULL
    };

    /* what is taken out of it later makes it shorter */

    ngx_pulse_buf_init(&out, 2 * pdf->text.max);

    rc = pulse_poppler_run(&run, argv, fd, &out);

    /* one whose text is enough was stopped */

    if (rc == NGX_OK && !run.full) {
        rc = pulse_poppler_failed(&run, pdf);
    }

    if (rc == NGX_OK) {
        rc = pulse_poppler_clean(&out, pdf);
    }

    ngx_pulse_buf_free(&out);
    ngx_pulse_buf_free(&run.err);

    return rc;
}


static ngx_int_t
pulse_poppler_failed(pulse_child_t *run, pulse_poppler_t *pdf)
{
    if (!run->late && WIFEXITED(run->status)) {

        if (WEXITSTATUS(run->status) == 0) {
            return NGX_OK;
        }

        ngx_pulse_buf_char(&run->err, '\0');

        pdf->why = (!run->err.failed
                    && strstr((char *) run->err.data, "password"))
                   ? pulse_poppler_locked : pulse_poppler_broken;

        return NGX_DECLINED;
    }

    pdf->why = pulse_poppler_slow;

    return NGX_DECLINED;
}


/* Whole pages, without what Poppler says of direction and without what is no
 * UTF-8, which fonts with a table of their own can make. */

static ngx_int_t
pulse_poppler_clean(const ngx_pulse_buf_t *raw, pulse_poppler_t *pdf)
{
    size_t      words, before;
    u_char     *p, *end, *last;
    ngx_str_t   page;

    words = 0;
    last = raw->data + raw->len;

    for (p = raw->data; p < last; p = end + 1) {
        end = memchr(p, '\f', last - p);

        if (end == NULL) {
            end = last;
        }

        page.data = p;
        page.len = end - p;
        before = pdf->text.len;

        if (pulse_poppler_append(&pdf->text, page) != NGX_OK) {
            return NGX_ERROR;
        }

        if (pdf->text.failed) {
            break;
        }

        pdf->read++;

        for ( /* void */ ; before < pdf->text.len; before++) {
            words += (pdf->text.data[before] > ' ');
        }
    }

    if (words < PULSE_POPPLER_WORD) {
        pdf->why = pulse_poppler_empty;
        return NGX_DECLINED;
    }

    pdf->text.failed = 0;

    return NGX_OK;
}


static ngx_int_t
pulse_poppler_append(ngx_pulse_buf_t *b, ngx_str_t page)
{
    size_t           bad, room;
    ngx_str_t        part;
    ngx_pulse_buf_t  text;

    ngx_pulse_buf_init(&text, 0);

    while (page.len) {
        part = page;

        if (ngx_pulse_utf8_check(page.data, page.len, &bad) != NGX_OK) {
            part.len = bad;
        }

        pulse_bidi_clean(&text, &part);

        bad = ngx_min(part.len + 1, page.len);
        page.data += bad;
        page.len -= bad;
    }

    room = b->max - b->len;

    /* all there is of it is one page that is too long */

    if (b->len == 0 && text.len >= room && !text.failed) {
        text.len = room - 1;

        while (text.len && (text.data[text.len] & 0xc0) == 0x80) {
            text.len--;
        }
    }

    ngx_pulse_buf_char(&text, '\f');
    ngx_pulse_buf_append(b, text.data, text.len);

    bad = text.failed;
    ngx_pulse_buf_free(&text);

    return bad ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
pulse_poppler_run(pulse_child_t *run, const char *const *argv, int fd,
    ngx_pulse_buf_t *out)
{
    memset(run, 0, sizeof(pulse_child_t));

    run->argv = argv;
    run->in = fd;
    run->memory = PULSE_POPPLER_MEMORY;
    run->cpu = PULSE_POPPLER_CPU;
    run->time = PULSE_POPPLER_TIME;
    run->out = out;

    return pulse_child_run(run);
}
