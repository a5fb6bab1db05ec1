
#include "pulse_files.h"
#include "pulse_images.h"
#include "pulse_log.h"
#include "pulse_moderate.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_IMAGES_LASTS  "10 minutes"    /* longer than any run */
#define PULSE_IMAGES_PATH   32
#define PULSE_IMAGES_ROOM   "53100"         /* no room, as image_keep() says */
#define PULSE_IMAGES_LIKELY (3 * 1024 * 1024)   /* 1024 by 1024 in RGB */


static enum MHD_Result pulse_images(pulse_http_request_t *r, ngx_uint_t edit);
static ngx_int_t pulse_images_moderate(pulse_images_t *images,
    enum MHD_Result *rc);
static enum MHD_Result pulse_images_make(pulse_images_t *images);
static ngx_int_t pulse_images_came(pulse_image_run_t *run,
    pulse_image_t *image);
static ngx_int_t pulse_images_keep(pulse_images_t *images,
    const pulse_image_t *image, const char *file);
static void pulse_images_file(pulse_images_t *images, ngx_pulse_buf_t *b,
    const pulse_image_t *image, ngx_uint_t thumbnail);
static void pulse_images_text(ngx_pulse_buf_t *b, const char *name,
    const u_char *text, size_t len);
static void pulse_images_number(ngx_pulse_buf_t *b, const char *name,
    uint64_t n);
static ngx_int_t pulse_images_settle(pulse_images_t *images);
static int64_t pulse_images_price(pulse_images_t *images);
static void pulse_images_undo(pulse_images_t *images);


static const char  pulse_images_kept[] =
    "SELECT image_keep($1, $2, $3, $4, $5, $6, $7)";


enum MHD_Result
pulse_images_generate(pulse_http_request_t *r)
{
    return pulse_images(r, 0);
}


enum MHD_Result
pulse_images_edit(pulse_http_request_t *r)
{
    return pulse_images(r, 1);
}


static enum MHD_Result
pulse_images(pulse_http_request_t *r, ngx_uint_t edit)
{
    pulse_images_t   *images;
    enum MHD_Result   rc;

    images = ngx_pcalloc(r->pool, sizeof(pulse_images_t));
    if (images == NULL) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    images->request = r;
    images->edit = edit;

    if (pulse_images_read(images, &rc) != NGX_OK
        || pulse_images_moderate(images, &rc) != NGX_OK)
    {
        return rc;
    }

    /* what there is no room for would be made, and paid for, for nobody */

    if (pulse_files_full(r, images->wish.count * PULSE_IMAGES_LIKELY, &rc)
        != NGX_OK)
    {
        return rc;
    }

    images->hold.kind = PULSE_HOLD_IMAGES;
    images->hold.amount = images->wish.count;
    images->hold.lasts = PULSE_IMAGES_LASTS;
    images->hold.model = images->wish.model->id;
    images->hold.provider = images->wish.model->provider->name;

    if (pulse_hold_take(r, &images->hold, &rc) != NGX_OK) {
        return rc;
    }

    return pulse_images_make(images);
}


/* Before anything is held, so that a refusal leaves no trace in an account. */

static ngx_int_t
pulse_images_moderate(pulse_images_t *images, enum MHD_Result *rc)
{
    char                        paths[PULSE_IMAGE_INPUTS + 1]
                                     [PULSE_IMAGES_PATH];
    ngx_uint_t                  i, n;
    pulse_image_wish_t         *wish;
    pulse_moderate_input_t      input;
    pulse_moderate_image_t      pictures[PULSE_IMAGE_INPUTS + 1];
    const pulse_image_input_t  *picture;

    wish = &images->wish;

    /* a mask is a picture too, whatever a provider makes of it */

    n = wish->ninputs + (wish->mask.fd != -1);

    for (i = 0; i < n; i++) {
        picture = (i < wish->ninputs) ? &wish->inputs[i] : &wish->mask;

        snprintf(paths[i], PULSE_IMAGES_PATH, "/proc/self/fd/%d",
                 picture->fd);

        pictures[i].type = picture->type;
        pictures[i].data.len = 0;
        pictures[i].path = paths[i];
    }

    const ngx_str_t  texts[] = { wish->prompt, wish->negative };

    input.texts = texts;
    input.ntexts = wish->negative.len ? 2 : 1;
    input.images = pictures;
    input.nimages = n;

    return pulse_moderate(images->request, &input, rc);
}


/* From here on somebody pays for what is made: it goes on to its end, even if
 * nobody waits any more, and what came is found among the files. */

static enum MHD_Result
pulse_images_make(pulse_images_t *images)
{
    ngx_str_t              trace;
    pulse_image_run_t     *run;
    pulse_http_request_t  *r;

    r = images->request;
    run = &images->run;
    trace = pulse_http_header(r, "X-Trace-ID");

    run->pool = r->pool;
    run->trace = trace.data ? (char *) trace.data : "";
    run->wish = &images->wish;
    run->came = pulse_images_came;
    run->ctx = images;

    pulse_image_run(run);

    if (run->n == 0) {
        if (pulse_worker_store(r) != NGX_OK
            || pulse_hold_release(r->store, images->hold.id) != NGX_OK)
        {
            pulse_log(PULSE_LOG_ERR, "pulse images: a hold is left to the"
                      " sweep: %s", r->store->error);
        }

        return pulse_images_failed(images);
    }

    switch (pulse_images_settle(images)) {

    case NGX_OK:
        return pulse_images_reply(images);

    case NGX_DECLINED:

        /* it took too long: what was held went back, and with it the files */

        pulse_images_undo(images);
        break;

    default: /* NGX_ERROR: whether it was charged is not known; it will be */
        pulse_log(PULSE_LOG_ERR, "pulse images: a hold is left to the sweep:"
                  " %s", r->store->error);
        break;
    }

    pulse_image_close(run);

    return pulse_reply_error(r, pulse_reply_store, NULL);
}


static ngx_int_t
pulse_images_came(pulse_image_run_t *run, pulse_image_t *image)
{
    ngx_int_t        rc;
    pulse_images_t  *images;
    ngx_pulse_buf_t  b;

    images = run->ctx;

    ngx_pulse_buf_init(&b, 0);

    pulse_images_file(images, &b, image, 0);

    if (image->thumbnail[0] != '\0') {
        ngx_pulse_buf_literal(&b, ",\"thumbnail\":");
        pulse_images_file(images, &b, image, 1);
        ngx_pulse_buf_char(&b, '}');
    }

    ngx_pulse_buf_literal(&b, "}\0");

    rc = b.failed ? NGX_ERROR : pulse_images_keep(images, image,
                                                  (char *) b.data);

    ngx_pulse_buf_free(&b);

    return rc;
}


static ngx_int_t
pulse_images_keep(pulse_images_t *images, const pulse_image_t *image,
    const char *file)
{
    char                   came[NGX_INT64_LEN + 1], room[NGX_INT64_LEN + 1];
    PGresult              *res;
    ngx_int_t              rc;
    const char            *params[7];
    pulse_http_request_t  *r;

    r = images->request;

    /* the connection may have gone while the provider was waited for */

    if (pulse_worker_store(r) != NGX_OK) {
        return NGX_ERROR;
    }

    snprintf(came, sizeof(came), "%lu", images->run.n + 1);
    snprintf(room, sizeof(room), "%ld", (long) pulse_files_most());

    params[0] = (char *) images->hold.id;
    params[1] = came;
    params[2] = PULSE_IMAGES_LASTS;
    params[3] = (char *) r->user.data;
    params[4] = file;
    params[5] = pulse_files_kept();
    params[6] = room;

    res = pulse_store_query(r->store, pulse_images_kept, 7, params);

    /* a connection that broke may have kept it, which is found out by doing
     * it again: else its owner would have a file that is not there */

    if (res == NULL && r->store->conn == NULL
        && pulse_worker_store(r) == NGX_OK)
    {
        res = pulse_store_query(r->store, pulse_images_kept, 7, params);
    }

    if (res == NULL) {
        images->no_room = (strcmp(r->store->sqlstate, PULSE_IMAGES_ROOM)
                           == 0);

        if (!images->no_room) {
            pulse_log(PULSE_LOG_ERR, "pulse images: %s cannot be kept: %s",
                      image->id, r->store->error);
        }

        return NGX_ERROR;
    }

    rc = (PQgetvalue(res, 0, 0)[0] == 't') ? NGX_OK : NGX_ERROR;
    images->gone = (rc != NGX_OK);

    PQclear(res);

    return rc;
}


static void
pulse_images_file(pulse_images_t *images, ngx_pulse_buf_t *b,
    const pulse_image_t *image, ngx_uint_t thumbnail)
{
    ngx_str_t    name;
    const char  *type;

    name = pulse_images_name(images, image, thumbnail);
    type = thumbnail ? "image/jpeg" : image->type;

    ngx_pulse_buf_literal(b, "{\"id\":");
    ngx_pulse_buf_json(b, thumbnail ? image->thumbnail : image->id,
                       PULSE_SHELF_ID);

    pulse_images_text(b, "filename", name.data, name.len);
    pulse_images_text(b, "content_type", (u_char *) type, strlen(type));
    pulse_images_number(b, "size_bytes", thumbnail ? image->thumbnail_size
                                                   : image->size);
    pulse_images_number(b, "width", thumbnail ? image->thumbnail_width
                                              : image->width);
    pulse_images_number(b, "height", thumbnail ? image->thumbnail_height
                                               : image->height);
}


static void
pulse_images_text(ngx_pulse_buf_t *b, const char *name, const u_char *text,
    size_t len)
{
    ngx_pulse_buf_char(b, ',');
    ngx_pulse_buf_json(b, (const u_char *) name, strlen(name));
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_json(b, text, len);
}


static void
pulse_images_number(ngx_pulse_buf_t *b, const char *name, uint64_t n)
{
    ngx_pulse_buf_char(b, ',');
    ngx_pulse_buf_json(b, (const u_char *) name, strlen(name));
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_int(b, n);
}


/* Done again on another connection if the first one broke. */

static ngx_int_t
pulse_images_settle(pulse_images_t *images)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    pulse_hold_use_t       use;
    pulse_http_request_t  *r;

    r = images->request;

    memset(&use, 0, sizeof(pulse_hold_use_t));

    use.amount = images->run.n;
    use.model = images->run.model->id;
    use.provider = images->run.model->provider->name;
    use.price = pulse_images_price(images);
    use.input = images->run.usage.input;
    use.output = images->run.usage.output;

    rc = NGX_ERROR;

    for (i = 0; i < 2 && rc == NGX_ERROR; i++) {
        if (pulse_worker_store(r) == NGX_OK) {
            rc = pulse_hold_settle(r->store, images->hold.id, &use, r);
        }
    }

    return rc;
}


/* By the picture where that is how it is sold, else by tokens; those of
 * pictures that are sent have a price of their own, which is not known. */

static int64_t
pulse_images_price(pulse_images_t *images)
{
    int64_t                    price;
    uint64_t                   counts[NGX_PULSE_PRICE_PARTS];
    const ngx_pulse_model_t   *model;
    const ngx_pulse_price_t   *rates;
    const pulse_image_usage_t *usage;

    price = pulse_media_price(images->run.model, NGX_PULSE_PRICE_IMAGE,
                              images->run.n);

    usage = &images->run.usage;

    if (price != NGX_PULSE_PRICE_UNKNOWN || !usage->known
        || usage->input_image || usage->output_text
        || usage->input_text != usage->input
        || usage->output_image != usage->output)
    {
        return price;
    }

    model = images->run.model->model;

    memset(counts, 0, sizeof(counts));
    counts[NGX_PULSE_PRICE_INPUT] = usage->input;
    counts[NGX_PULSE_PRICE_OUTPUT] = usage->output;

    rates = ngx_pulse_price_find(model->prices, model->nprices, time(NULL),
                                 usage->input);

    return rates ? ngx_pulse_price_sum(rates, counts)
                 : NGX_PULSE_PRICE_UNKNOWN;
}


static void
pulse_images_undo(pulse_images_t *images)
{
    PGresult              *res;
    ngx_uint_t             i;
    const char            *params[1];
    pulse_image_t         *image;
    pulse_http_request_t  *r;

    r = images->request;

    for (i = 0; i < images->run.n; i++) {
        image = &images->run.images[i];
        params[0] = (char *) image->id;

        /* its thumbnail's row goes with it; files without rows are swept */

        res = pulse_store_query(r->store, "DELETE FROM files WHERE id = $1",
                                1, params);

        if (res == NULL) {
            pulse_log(PULSE_LOG_ERR, "pulse images: %s cannot be taken away:"
                      " %s", image->id, r->store->error);
            return;
        }

        PQclear(res);
        (void) pulse_shelf_remove(image->id);
    }
}
