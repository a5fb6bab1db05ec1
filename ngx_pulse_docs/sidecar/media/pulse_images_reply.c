
#include <time.h>
#include <unistd.h>
#include "ngx_pulse_id.h"
#include "pulse_files.h"
#include "pulse_images.h"
#include "pulse_links.h"
#include "pulse_reply.h"


#define PULSE_IMAGES_BLOCK  16384


/* An answer with pictures in it, which are read as it is sent. */

typedef struct {
    pulse_pieces_t         pieces;
    ngx_pulse_buf_t        text;
    size_t                 cuts[PULSE_IMAGE_MAX];   /* where pictures go */
    ngx_uint_t             ncuts;
    int                    fds[PULSE_IMAGE_MAX];
    ngx_uint_t             n;
} pulse_images_stream_t;


static enum MHD_Result pulse_images_studio(pulse_images_t *images);
static void pulse_images_one(pulse_images_t *images, ngx_pulse_buf_t *b,
    const pulse_image_t *image);
static void pulse_images_missing(pulse_images_t *images, ngx_pulse_buf_t *b);
static void pulse_images_warnings(pulse_images_t *images, ngx_pulse_buf_t *b);
static void pulse_images_about(pulse_images_t *images, ngx_pulse_buf_t *b);
static void pulse_images_option(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value, const char *absent);
static void pulse_images_usage(pulse_images_t *images, ngx_pulse_buf_t *b);
static enum MHD_Result pulse_images_links(pulse_images_t *images);
static void pulse_images_head(pulse_images_t *images, ngx_pulse_buf_t *b);
static void pulse_images_tail(pulse_images_t *images, ngx_pulse_buf_t *b);
static enum MHD_Result pulse_images_stream(pulse_images_t *images);
static void pulse_images_write(pulse_images_t *images,
    pulse_images_stream_t *stream);
static void pulse_images_object(pulse_images_t *images,
    pulse_images_stream_t *stream);
static void pulse_images_event(pulse_images_t *images,
    pulse_images_stream_t *stream);
static ssize_t pulse_images_read_block(void *cls, uint64_t pos, char *buf,
    size_t max);
static void pulse_images_free(void *cls);
static const char *pulse_images_reason(pulse_images_t *images);
static void pulse_images_string(ngx_pulse_buf_t *b, const char *text);


enum MHD_Result
pulse_images_reply(pulse_images_t *images)
{
    enum MHD_Result  rc;

    if (!images->url) {
        return pulse_images_stream(images);
    }

    rc = images->request->studio ? pulse_images_studio(images)
                                 : pulse_images_links(images);

    pulse_image_close(&images->run);

    return rc;
}


static enum MHD_Result
pulse_images_studio(pulse_images_t *images)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"images\":[");

    for (i = 0; i < images->run.n; i++) {

        if (i) {
            ngx_pulse_buf_char(&b, ',');
        }

        pulse_images_one(images, &b, &images->run.images[i]);
    }

    ngx_pulse_buf_literal(&b, "],\"model_used\":");
    pulse_images_string(&b, images->run.model->id);
    ngx_pulse_buf_literal(&b, ",\"provider\":");
    pulse_images_string(&b, images->run.model->provider->name);
    ngx_pulse_buf_literal(&b, ",\"usage\":{\"images\":");
    ngx_pulse_buf_int(&b, images->run.n);

    if (images->run.usage.known) {
        ngx_pulse_buf_literal(&b, ",\"input_tokens\":");
        ngx_pulse_buf_int(&b, images->run.usage.input);
        ngx_pulse_buf_literal(&b, ",\"output_tokens\":");
        ngx_pulse_buf_int(&b, images->run.usage.output);
    }

    ngx_pulse_buf_literal(&b, "},\"failed\":");
    pulse_images_missing(images, &b);
    ngx_pulse_buf_literal(&b, ",\"warnings\":[");
    pulse_images_warnings(images, &b);
    ngx_pulse_buf_literal(&b, "]}");

    return pulse_reply_data(images->request, MHD_HTTP_OK, &b);
}


static void
pulse_images_one(pulse_images_t *images, ngx_pulse_buf_t *b,
    const pulse_image_t *image)
{
    u_char     text[24];
    time_t     expires;
    ngx_str_t  name;

    name = pulse_images_name(images, image, 0);

    ngx_pulse_buf_literal(b, "{\"id\":");
    ngx_pulse_buf_json(b, image->id, PULSE_SHELF_ID);
    ngx_pulse_buf_literal(b, ",\"url\":");
    expires = pulse_links_url(images->request, b, image->id, image->type,
                              &name);
    ngx_pulse_buf_literal(b, ",\"thumbnail_url\":");

    if (image->thumbnail[0] != '\0') {
        name = pulse_images_name(images, image, 1);

        (void) pulse_links_url(images->request, b, image->thumbnail,
                               "image/jpeg", &name);

    } else {
        ngx_pulse_buf_literal(b, "null");
    }

    ngx_pulse_rfc3339(text, (int64_t) expires * 1000);

    ngx_pulse_buf_literal(b, ",\"expires_at\":\"");
    ngx_pulse_buf_append(b, text, sizeof(text));
    ngx_pulse_buf_literal(b, "\",\"content_type\":");
    pulse_images_string(b, image->type);
    ngx_pulse_buf_literal(b, ",\"width\":");
    ngx_pulse_buf_int(b, image->width);
    ngx_pulse_buf_literal(b, ",\"height\":");
    ngx_pulse_buf_int(b, image->height);
    ngx_pulse_buf_literal(b, ",\"size_bytes\":");
    ngx_pulse_buf_int(b, image->size);
    ngx_pulse_buf_char(b, '}');
}


/* Those that were wanted and did not come, by their places. */

static void
pulse_images_missing(pulse_images_t *images, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i;

    ngx_pulse_buf_char(b, '[');

    for (i = images->run.n; i < images->wish.count; i++) {

        if (i > images->run.n) {
            ngx_pulse_buf_char(b, ',');
        }

        ngx_pulse_buf_literal(b, "{\"index\":");
        ngx_pulse_buf_int(b, i);
        ngx_pulse_buf_literal(b, ",\"code\":");
        pulse_images_string(b, pulse_images_reason(images));
        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_char(b, ']');
}


static void
pulse_images_warnings(pulse_images_t *images, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i;

    for (i = 0; i < images->nwarnings; i++) {

        if (i) {
            ngx_pulse_buf_char(b, ',');
        }

        ngx_pulse_buf_literal(b, "{\"field\":");
        ngx_pulse_buf_json(b, images->warnings[i].data,
                           images->warnings[i].len);
        ngx_pulse_buf_literal(b, ",\"reason\":\"is not known here\"}");
    }
}


/* In the dialect: the same members, whether they are links or bytes. */

static enum MHD_Result
pulse_images_links(pulse_images_t *images)
{
    ngx_str_t              name;
    ngx_uint_t             i;
    ngx_pulse_buf_t        b;
    const pulse_image_t   *image;

    ngx_pulse_buf_init(&b, 0);
    pulse_images_head(images, &b);

    for (i = 0; i < images->run.n; i++) {
        image = &images->run.images[i];
        name = pulse_images_name(images, image, 0);

        if (i) {
            ngx_pulse_buf_char(&b, ',');
        }

        ngx_pulse_buf_literal(&b, "{\"url\":");
        (void) pulse_links_url(images->request, &b, image->id, image->type,
                               &name);
        ngx_pulse_buf_char(&b, '}');
    }

    pulse_images_tail(images, &b);

    return pulse_reply_plain(images->request, MHD_HTTP_OK, &b);
}


static void
pulse_images_head(pulse_images_t *images, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"created\":");
    ngx_pulse_buf_int(b, time(NULL));
    ngx_pulse_buf_literal(b, ",\"data\":[");
}


static void
pulse_images_tail(pulse_images_t *images, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_char(b, ']');
    pulse_images_about(images, b);

    /* not of the dialect: who made it, and what did not come */

    ngx_pulse_buf_literal(b, ",\"model\":");
    pulse_images_string(b, images->run.model->id);

    if (images->run.n < images->wish.count) {
        ngx_pulse_buf_literal(b, ",\"failed\":");
        pulse_images_missing(images, b);
    }

    ngx_pulse_buf_char(b, '}');
}


/* Members that an event has all of, and an object what is known of. */

static void
pulse_images_about(pulse_images_t *images, ngx_pulse_buf_t *b)
{
    const char                *absent;
    const pulse_image_t       *image;
    const pulse_image_wish_t  *wish;

    wish = &images->wish;
    image = &images->run.images[0];
    absent = images->stream ? "auto" : NULL;

    ngx_pulse_buf_literal(b, ",\"output_format\":");
    pulse_images_string(b, image->type + sizeof("image/") - 1);
    ngx_pulse_buf_literal(b, ",\"size\":\"");
    ngx_pulse_buf_int(b, image->width);
    ngx_pulse_buf_char(b, 'x');
    ngx_pulse_buf_int(b, image->height);
    ngx_pulse_buf_char(b, '"');

    pulse_images_option(b, "quality", &wish->quality, absent);
    pulse_images_option(b, "background", &wish->background, absent);

    if (images->run.usage.known) {
        pulse_images_usage(images, b);
    }
}


static void
pulse_images_option(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value, const char *absent)
{
    if (value->len == 0 && absent == NULL) {
        return;
    }

    ngx_pulse_buf_char(b, ',');
    pulse_images_string(b, name);
    ngx_pulse_buf_char(b, ':');

    if (value->len) {
        ngx_pulse_buf_json(b, value->data, value->len);

    } else {
        pulse_images_string(b, absent);
    }
}


static void
pulse_images_usage(pulse_images_t *images, ngx_pulse_buf_t *b)
{
    const pulse_image_usage_t  *usage;

    usage = &images->run.usage;

    ngx_pulse_buf_literal(b, ",\"usage\":{\"input_tokens\":");
    ngx_pulse_buf_int(b, usage->input);
    ngx_pulse_buf_literal(b, ",\"input_tokens_details\":{\"text_tokens\":");
    ngx_pulse_buf_int(b, usage->input_text);
    ngx_pulse_buf_literal(b, ",\"image_tokens\":");
    ngx_pulse_buf_int(b, usage->input_image);
    ngx_pulse_buf_literal(b, "},\"output_tokens\":");
    ngx_pulse_buf_int(b, usage->output);
    ngx_pulse_buf_literal(b, ",\"output_tokens_details\":{\"text_tokens\":");
    ngx_pulse_buf_int(b, usage->output_text);
    ngx_pulse_buf_literal(b, ",\"image_tokens\":");
    ngx_pulse_buf_int(b, usage->output_image);
    ngx_pulse_buf_literal(b, "},\"total_tokens\":");
    ngx_pulse_buf_int(b, usage->input + usage->output);
    ngx_pulse_buf_char(b, '}');
}


static enum MHD_Result
pulse_images_stream(pulse_images_t *images)
{
    ngx_uint_t              i;
    struct MHD_Response    *response;
    pulse_images_stream_t  *stream;

    stream = calloc(1, sizeof(pulse_images_stream_t));

    if (stream == NULL) {
        pulse_image_close(&images->run);
        return MHD_NO;
    }

    /* from here on the files are the answer's */

    for (i = 0; i < images->run.n; i++) {
        stream->fds[stream->n++] = images->run.images[i].fd;
    }

    pulse_images_write(images, stream);

    if (stream->text.failed || stream->pieces.failed) {
        pulse_images_free(stream);
        return MHD_NO;
    }

    response = MHD_create_response_from_callback(stream->pieces.length,
                                                 PULSE_IMAGES_BLOCK,
                                                 pulse_images_read_block,
                                                 stream, pulse_images_free);
    if (response == NULL) {
        pulse_images_free(stream);
        return MHD_NO;
    }

    MHD_add_response_header(response, "Content-Type",
                            images->stream
                            ? "text/event-stream; charset=utf-8"
                            : "application/json");

    return pulse_http_queue(images->request, MHD_HTTP_OK, response);
}


static void
pulse_images_write(pulse_images_t *images, pulse_images_stream_t *stream)
{
    size_t            done;
    ngx_uint_t        i;
    ngx_pulse_buf_t  *b;

    b = &stream->text;

    ngx_pulse_buf_init(b, 0);
    pulse_pieces_init(&stream->pieces);

    if (images->stream) {
        pulse_images_event(images, stream);

    } else {
        pulse_images_object(images, stream);
    }

    if (b->failed) {
        return;
    }

    /* only now does the text stay where it is */

    done = 0;

    for (i = 0; i < stream->ncuts; i++) {
        pulse_pieces_text(&stream->pieces, b->data + done,
                          stream->cuts[i] - done);
        pulse_pieces_file(&stream->pieces, stream->fds[i],
                          images->run.images[i].size, 1);
        done = stream->cuts[i];
    }

    pulse_pieces_text(&stream->pieces, b->data + done, b->len - done);
}


static void
pulse_images_object(pulse_images_t *images, pulse_images_stream_t *stream)
{
    ngx_uint_t        i;
    ngx_pulse_buf_t  *b;

    b = &stream->text;

    pulse_images_head(images, b);

    for (i = 0; i < images->run.n; i++) {

        if (i) {
            ngx_pulse_buf_literal(b, "\"},");
        }

        ngx_pulse_buf_literal(b, "{\"b64_json\":\"");
        stream->cuts[stream->ncuts++] = b->len;
    }

    ngx_pulse_buf_literal(b, "\"}");
    pulse_images_tail(images, b);
}


/* The only one: partial pictures are never kept. */

static void
pulse_images_event(pulse_images_t *images, pulse_images_stream_t *stream)
{
    const char       *type;
    ngx_pulse_buf_t  *b;

    b = &stream->text;
    type = images->edit ? "image_edit.completed"
                        : "image_generation.completed";

    ngx_pulse_buf_literal(b, "event: ");
    ngx_pulse_buf_append(b, (u_char *) type, strlen(type));
    ngx_pulse_buf_literal(b, "\ndata: {\"type\":");
    pulse_images_string(b, type);
    ngx_pulse_buf_literal(b, ",\"created_at\":");
    ngx_pulse_buf_int(b, time(NULL));
    ngx_pulse_buf_literal(b, ",\"b64_json\":\"");
    stream->cuts[stream->ncuts++] = b->len;
    ngx_pulse_buf_char(b, '"');
    pulse_images_about(images, b);
    ngx_pulse_buf_literal(b, "}\n\n");
}


static ssize_t
pulse_images_read_block(void *cls, uint64_t pos, char *buf, size_t max)
{
    pulse_images_stream_t *stream = cls;

    ssize_t  n;

    /* it asks for each byte once, in order */

    n = pulse_pieces_read(&stream->pieces, (u_char *) buf, max);

    if (n == 0) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }

    return (n < 0) ? MHD_CONTENT_READER_END_WITH_ERROR : n;
}


static void
pulse_images_free(void *cls)
{
    pulse_images_stream_t *stream = cls;

    ngx_uint_t  i;

    for (i = 0; i < stream->n; i++) {
        close(stream->fds[i]);
    }

    ngx_pulse_buf_free(&stream->text);
    free(stream);
}


enum MHD_Result
pulse_images_failed(pulse_images_t *images)
{
    size_t                 bad;
    pulse_image_run_t     *run;
    pulse_http_request_t  *r;

    r = images->request;
    run = &images->run;

    if (images->no_room) {
        return pulse_reply_error(r, pulse_reply_no_room, NULL);
    }

    if (run->broken) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    switch (run->fault) {

    case pulse_image_flagged:
        return pulse_reply_error(r, pulse_reply_flagged, NULL);

    case pulse_image_refused:

        /* it may have been cut in the middle of a character */

        if (ngx_pulse_utf8_check((u_char *) run->message,
                                 strlen(run->message), &bad) != NGX_OK)
        {
            run->message[bad] = '\0';
        }

        return pulse_reply_field(r, "", "رفض المزوّد هذا الطلب.",
                                 run->message[0]
                                 ? run->message
                                 : "the provider refused the request");

    case pulse_image_fine:
    case pulse_image_none:
        return pulse_reply_error(r, pulse_reply_no_image, NULL);

    default: /* pulse_image_down, pulse_image_busy, pulse_image_unpaid */

        if (run->fault == pulse_image_busy && run->after) {
            snprintf(r->after, sizeof(r->after), "%lu", run->after);
        }

        return pulse_reply_error(r, pulse_reply_no_provider, NULL);
    }
}


static const char *
pulse_images_reason(pulse_images_t *images)
{
    switch (images->run.fault) {

    case pulse_image_flagged:
        return "CONTENT_FLAGGED";

    case pulse_image_refused:
        return "INVALID_REQUEST";

    case pulse_image_down:
    case pulse_image_busy:
    case pulse_image_unpaid:
        return "PROVIDER_UNAVAILABLE";

    default:
        return images->run.broken ? "STORE_UNAVAILABLE" : "PROVIDER_ERROR";
    }
}


ngx_str_t
pulse_images_name(pulse_images_t *images, const pulse_image_t *image,
    ngx_uint_t thumbnail)
{
    char       extension[16];
    ngx_str_t  name, empty;

    ngx_str_set(&empty, "image");

    if (thumbnail) {
        ngx_str_set(&empty, "thumbnail");
    }

    snprintf(extension, sizeof(extension), ".%s",
             thumbnail ? "jpeg" : image->type + sizeof("image/") - 1);

    name = pulse_files_name(images->request, &empty, extension);

    if (name.data == NULL) {
        name = empty;
    }

    return name;
}


static void
pulse_images_string(ngx_pulse_buf_t *b, const char *text)
{
    ngx_pulse_buf_json(b, (const u_char *) text, strlen(text));
}
