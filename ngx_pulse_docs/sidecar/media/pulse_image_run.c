
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include "ngx_pulse_id.h"
#include "pulse_image.h"
#include "pulse_log.h"
#include "pulse_raster.h"


#define PULSE_IMAGE_POLL  500           /* ms */


static ngx_int_t pulse_image_ask(pulse_image_run_t *run);
static ngx_int_t pulse_image_calls(pulse_image_run_t *run);
static void pulse_image_loop(pulse_image_run_t *run);
static ngx_uint_t pulse_image_begin(pulse_image_run_t *run, int64_t *wait);
static ngx_uint_t pulse_image_messages(pulse_image_run_t *run);
static void pulse_image_collect(pulse_image_run_t *run,
    pulse_image_call_t *call);
static ngx_int_t pulse_image_take(pulse_image_run_t *run,
    pulse_image_t *image);
static ngx_int_t pulse_image_thumbnail(pulse_image_t *image);
static const pulse_media_model_t *pulse_image_next(pulse_image_run_t *run,
    const pulse_media_model_t *model);
static ngx_uint_t pulse_image_fits(pulse_image_run_t *run,
    const pulse_media_model_t *model);
static const pulse_image_provider_t *pulse_image_provider(
    const pulse_media_model_t *model);


static const pulse_image_provider_t *const  pulse_image_providers[] = {
    &pulse_image_openai, &pulse_image_gemini, &pulse_image_replicate, NULL
};

static ngx_uint_t   pulse_image_seconds = PULSE_IMAGE_TIMEOUT;
static atomic_uint  pulse_image_stopping;


void
pulse_image_timeout(ngx_uint_t seconds)
{
    pulse_image_seconds = seconds;
}


void
pulse_image_stop(void)
{
    pulse_image_stopping = 1;
}


int64_t
pulse_image_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


void
pulse_image_run(pulse_image_run_t *run)
{
    pulse_image_fault_e         fault;
    const pulse_media_model_t  *model, *next;

    run->deadline = pulse_image_now() + pulse_image_seconds * 1000;
    run->fault = pulse_image_fine;
    run->n = 0;

    model = run->wish->model;

    if (!pulse_image_fits(run, model)) {
        model = pulse_image_next(run, model);
        run->fault = pulse_image_down;
    }

    for ( /* void */ ; model; model = next) {
        next = pulse_image_next(run, model);

        run->model = model;
        run->provider = pulse_image_provider(model);
        run->last = (next == NULL);

        fault = run->fault;
        run->fault = pulse_image_fine;

        if (pulse_image_ask(run) != NGX_OK) {
            run->fault = pulse_image_down;
            pulse_log(PULSE_LOG_ERR, "pulse images: no memory");
        }

        if (run->n || run->broken || run->fault >= pulse_image_refused) {
            return;
        }

        pulse_log(PULSE_LOG_NOTICE, "pulse images: nothing came of %s%s%s",
                  model->id, next ? ", asking " : "", next ? next->id : "");

        /* what was wrong with the model that was asked for is what counts */

        if (fault != pulse_image_fine) {
            run->fault = fault;
        }
    }
}


static ngx_int_t
pulse_image_ask(pulse_image_run_t *run)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    run->multi = curl_multi_init();
    if (run->multi == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_image_calls(run);

    if (rc == NGX_OK) {
        pulse_image_loop(run);
    }

    for (i = 0; i < run->ncalls; i++) {
        pulse_image_call_free(&run->calls[i]);
    }

    curl_multi_cleanup(run->multi);

    return rc;
}


/* As many as it takes for the count, each for as many as one may make. */

static ngx_int_t
pulse_image_calls(pulse_image_run_t *run)
{
    ngx_uint_t  most, left, wanted;

    most = pulse_media_most(run->model, "max_count", 1);
    left = run->wish->count;

    run->ncalls = 0;
    run->calls = ngx_palloc(run->pool, (left + most - 1) / most
                                       * sizeof(pulse_image_call_t));
    if (run->calls == NULL) {
        return NGX_ERROR;
    }

    for ( /* void */ ; left; left -= wanted) {
        wanted = ngx_min(left, most);

        pulse_image_call_init(&run->calls[run->ncalls++], run, wanted);
    }

    return NGX_OK;
}


static void
pulse_image_loop(pulse_image_run_t *run)
{
    int         n;
    int64_t     wait;
    ngx_uint_t  i;

    while (pulse_image_begin(run, &wait)) {

        if (run->broken || pulse_image_stopping
            || pulse_image_now() >= run->deadline)
        {
            break;
        }

        (void) curl_multi_perform(run->multi, &n);

        if (pulse_image_messages(run) == 0) {
            (void) curl_multi_poll(run->multi, NULL, 0, wait, NULL);
        }
    }

    for (i = 0; i < run->ncalls; i++) {
        if (!run->calls[i].done) {
            pulse_image_call_abort(&run->calls[i], "it did not end in time");
            pulse_image_collect(run, &run->calls[i]);
        }
    }
}


/* Sends what is due; 0 if all calls are done. */

static ngx_uint_t
pulse_image_begin(pulse_image_run_t *run, int64_t *wait)
{
    int64_t              now;
    ngx_uint_t           i, open;
    pulse_image_call_t  *call;

    *wait = PULSE_IMAGE_POLL;
    now = pulse_image_now();
    open = 0;

    for (i = 0; i < run->ncalls; i++) {
        call = &run->calls[i];

        if (call->done) {
            continue;
        }

        open++;

        if (call->begin == -1) {
            continue;
        }

        if (call->begin > now) {
            *wait = ngx_min(*wait, call->begin - now);
            continue;
        }

        call->begin = -1;
        *wait = 0;

        if (pulse_image_call_send(call) != NGX_OK) {
            pulse_image_call_abort(call, "no memory");
            pulse_image_collect(run, call);
        }
    }

    return open;
}


/* How many requests are over. */

static ngx_uint_t
pulse_image_messages(pulse_image_run_t *run)
{
    int                  n;
    CURLMsg             *message;
    ngx_uint_t           ended;
    pulse_image_call_t  *call;

    for (ended = 0; /* void */ ; ended++) {
        message = curl_multi_info_read(run->multi, &n);

        if (message == NULL) {
            return ended;
        }

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);

        if (pulse_image_call_ended(call, message->data.result) == NGX_OK) {
            call->done = 1;
            pulse_image_collect(run, call);
        }
    }
}


/* A call is over: what it brought is the run's. */

static void
pulse_image_collect(pulse_image_run_t *run, pulse_image_call_t *call)
{
    ngx_int_t       rc;
    ngx_uint_t      i;
    pulse_image_t  *image;

    for (i = 0; i < call->ndrafts; i++) {
        image = &call->drafts[i];

        rc = NGX_DECLINED;

        if (run->n < run->wish->count && i < call->wanted && !run->broken) {
            rc = pulse_image_take(run, image);
        }

        if (rc != NGX_OK) {
            pulse_shelf_drop(image->id);
            close(image->fd);
        }
    }

    run->usage.input += call->usage.input;
    run->usage.output += call->usage.output;
    run->usage.input_text += call->usage.input_text;
    run->usage.input_image += call->usage.input_image;
    run->usage.output_text += call->usage.output_text;
    run->usage.output_image += call->usage.output_image;
    run->usage.known |= call->usage.known;

    if (call->ndrafts < call->wanted && call->fault == pulse_image_fine) {
        call->fault = pulse_image_none;
    }

    if (call->fault > run->fault) {
        run->fault = call->fault;
        run->after = call->after;
        memcpy(run->message, call->message, sizeof(run->message));
    }

    call->ndrafts = 0;
}


static ngx_int_t
pulse_image_take(pulse_image_run_t *run, pulse_image_t *image)
{
    ngx_int_t        rc;
    pulse_raster_t   raster;

    rc = pulse_raster_check(image->fd, &raster);

    if (rc != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse images: %s: what it sent is no"
                  " picture: %s", run->model->provider->name,
                  rc == NGX_DECLINED ? pulse_raster_reason(raster.why, 0)
                                     : strerror(errno));

        if (run->fault < pulse_image_none) {
            run->fault = pulse_image_none;
        }

        return NGX_DECLINED;
    }

    image->type = pulse_raster_content_type(raster.type);
    image->width = raster.width;
    image->height = raster.height;

    if (pulse_image_thumbnail(image) != NGX_OK
        || pulse_shelf_keep(image->id, image->type, image->fd) != NGX_OK)
    {
        pulse_log(PULSE_LOG_ERR, "pulse images: %s cannot be kept: %s",
                  image->id, strerror(errno));

        run->broken = 1;
        return NGX_ERROR;
    }

    if (run->came(run, image) != NGX_OK) {
        run->broken = 1;

        (void) pulse_shelf_remove(image->id);

        if (image->thumbnail[0] != '\0') {
            (void) pulse_shelf_remove(image->thumbnail);
        }

        return NGX_ERROR;
    }

    run->images[run->n++] = *image;

    return NGX_OK;
}


/* A picture that is too large to be made smaller goes without. */

static ngx_int_t
pulse_image_thumbnail(pulse_image_t *image)
{
    int              fd;
    ngx_int_t        rc;
    pulse_raster_t   raster;

    ngx_pulse_uuid7(image->thumbnail);

    fd = pulse_shelf_draft(image->thumbnail);
    if (fd == -1) {
        return NGX_ERROR;
    }

    rc = pulse_raster_thumbnail(image->fd, fd, PULSE_RASTER_THUMBNAIL,
                                &raster);

    if (rc == NGX_OK) {
        image->thumbnail_size = lseek(fd, 0, SEEK_END);
        image->thumbnail_width = raster.width;
        image->thumbnail_height = raster.height;

        rc = pulse_shelf_keep(image->thumbnail, "image/jpeg", fd);
    }

    if (rc != NGX_OK) {
        pulse_shelf_drop(image->thumbnail);
        image->thumbnail[0] = '\0';
    }

    close(fd);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


void
pulse_image_close(pulse_image_run_t *run)
{
    ngx_uint_t  i;

    for (i = 0; i < run->n; i++) {
        close(run->images[i].fd);
    }
}


/* The model to be asked after this one: those that stand by, in the order of
 * the catalogue. */

static const pulse_media_model_t *
pulse_image_next(pulse_image_run_t *run, const pulse_media_model_t *model)
{
    if (model == run->wish->model) {
        model = NULL;
    }

    for ( ;; ) {
        model = pulse_media_next(NGX_PULSE_MODEL_IMAGE, model);

        if (model == NULL) {
            return NULL;
        }

        if (model != run->wish->model
            && pulse_media_can(model, "standby", 0)
            && pulse_image_fits(run, model))
        {
            return model;
        }
    }
}


static ngx_uint_t
pulse_image_fits(pulse_image_run_t *run, const pulse_media_model_t *model)
{
    if (model->provider->key == NULL || pulse_image_provider(model) == NULL) {
        return 0;
    }

    return run->wish->ninputs == 0
           || (pulse_media_can(model, "edits", 0)
               && run->wish->ninputs
                  <= (ngx_uint_t) pulse_media_most(model, "max_inputs", 1)
               && (run->wish->mask.fd == -1
                   || pulse_media_can(model, "masks", 0)));
}


static const pulse_image_provider_t *
pulse_image_provider(const pulse_media_model_t *model)
{
    ngx_uint_t  i;

    for (i = 0; pulse_image_providers[i]; i++) {
        if (strcmp(pulse_image_providers[i]->name, model->provider->name)
            == 0)
        {
            return pulse_image_providers[i];
        }
    }

    return NULL;
}
