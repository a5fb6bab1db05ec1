
#include <stdlib.h>
#include <string.h>
#include "pulse_image.h"
#include "unit.h"


/* Where Replicate's pictures are fetched, and what is said there: by its own
 * host we are known, by those that have its files we are not. */


static void test_fetch(const char *base, const char *uri, ngx_uint_t theirs);
static void test_fetched(const char *base, const char *uri, ngx_int_t rc);


static pulse_image_call_t      test_call;
static pulse_image_run_t       test_run;
static pulse_media_model_t     test_model;
static pulse_media_provider_t  test_provider;
static ngx_uint_t              test_credentials;


int
main(void)
{
    test_model.provider = &test_provider;
    test_run.model = &test_model;

    test_fetch("https://api.replicate.com/v1",
               "https://api.replicate.com/v1/files/a.png", 1);
    test_fetch("https://api.replicate.com/v1",
               "https://replicate.delivery/a.png", 0);
    test_fetch("https://api.replicate.com/v1",
               "https://pbxt.replicate.delivery/a.png", 0);
    test_fetch("http://127.0.0.1:81/v1", "http://127.0.0.1:81/a.png", 1);
    test_fetch("http://127.0.0.1:81/v1", "https://replicate.delivery/", 0);

    test_fetched("https://api.replicate.com/v1",
                 "https://pbxt.replicate.delivery/a.png", NGX_AGAIN);
    test_fetched("https://api.replicate.com/v1",
                 "https://api.replicate.com.example/a.png", NGX_OK);
    test_fetched("https://api.replicate.com/v1",
                 "https://api.replicate.com@example.com/a.png", NGX_OK);
    test_fetched("https://api.replicate.com/v1",
                 "https://notreplicate.delivery/a.png", NGX_OK);
    test_fetched("https://api.replicate.com/v1",
                 "http://replicate.delivery/a.png", NGX_OK);
    test_fetched("http://127.0.0.1:81/v1", "http://127.0.0.1:812/a.png",
                 NGX_OK);
    test_fetched("http://127.0.0.1:81/v1", "http://127.0.0.1:81@x/a.png",
                 NGX_OK);

    return unit_done();
}


static void
test_fetch(const char *base, const char *uri, ngx_uint_t theirs)
{
    test_credentials = 0;
    test_provider.base = base;
    test_provider.key = "the-key";

    memset(&test_call, 0, sizeof(pulse_image_call_t));
    ngx_pulse_buf_init(&test_call.url, 0);

    test_call.run = &test_run;
    test_call.step = 2;
    test_call.uris[0] = (char *) uri;
    test_call.nuris = 1;

    check_int(pulse_image_replicate.write(&test_call), NGX_OK);
    check_int(test_credentials, theirs);
    check_int(test_call.elsewhere, !theirs);
    check_int(test_call.url.len, strlen(uri));

    ngx_pulse_buf_free(&test_call.url);
}


/* NGX_AGAIN: it is going to be */

static void
test_fetched(const char *base, const char *uri, ngx_int_t rc)
{
    test_provider.base = base;

    memset(&test_call, 0, sizeof(pulse_image_call_t));

    test_call.run = &test_run;
    test_call.uris[0] = (char *) uri;
    test_call.nuris = 1;

    check_int(pulse_image_replicate.answered(&test_call), rc);
}


/* what a call does for its provider */

ngx_int_t
pulse_image_header(pulse_image_call_t *call, const char *name,
    const char *value)
{
    test_credentials += (strcmp(name, "Authorization") == 0
                         && strcmp(value, "Bearer the-key") == 0);

    return NGX_OK;
}


void
pulse_image_fault(pulse_image_call_t *call, pulse_image_fault_e fault,
    const ngx_str_t *message)
{
    call->fault = fault;
}


void
pulse_image_piece(pulse_image_call_t *call)
{
}


void
pulse_image_file(pulse_image_call_t *call, const pulse_image_input_t *input,
    ngx_uint_t base64)
{
}


void
pulse_image_say(pulse_image_call_t *call, const char *text)
{
}


ngx_uint_t
pulse_image_is(const ngx_str_t *text, const char *other)
{
    return 0;
}
