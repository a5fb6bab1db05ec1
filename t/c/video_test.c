
#include "unit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include "pulse_video.h"


static void test_recordings(const char *shared);
static void test_replicate(void);
static void test_interactions(void);
static void test_base64(void);
static void test_operation(void);
static void test_read(const pulse_video_provider_t *provider,
    const char *text, size_t len, size_t step, pulse_video_said_t *said);


static ngx_pool_t  *test_pool;


/* none is configured: nobody is asked here */

const pulse_media_provider_t *
pulse_media_provider(const char *name)
{
    return NULL;
}


int
main(void)
{
    const char  *shared;

    test_pool = unit_pool();

    shared = unit_shared();

    if (shared) {
        test_recordings(shared);
    }

    test_replicate();
    test_interactions();
    test_base64();
    test_operation();

    ngx_destroy_pool(test_pool);

    return unit_done();
}


/* Answers of Replicate and of the Interactions API, cut anywhere. */

static void
test_recordings(const char *shared)
{
    size_t               i, step;
    char                 name[512];
    ngx_str_t            text;
    pulse_video_said_t   said;

    static const struct {
        const char                    *file;
        const pulse_video_provider_t  *provider;
        pulse_video_state_e            state;
        const char                    *operation;
        const char                    *url;
        ngx_int_t                      progress;
    } cases[] = {
        { "replicate/replicate-python-predictions-create-1.json",
          &pulse_video_replicate, pulse_video_running,
          "vgcm4plb7tgzlyznry5d5jkgvu", "", -1 },
        { "replicate/replicate-python-predictions-get-1.json",
          &pulse_video_replicate, pulse_video_done,
          "vgcm4plb7tgzlyznry5d5jkgvu",
          "https://replicate.delivery/pbxt/9inf36wjsEWuQ6XTf84iezPftv9QZdePfG"
          "ySnU5tUai3BOrWE/out-0.png", 100 },

        /* it has an output, and a key twice, and is not done */

        { "replicate/replicate-python-models_predictions_create_blocking-True"
          "-10.json", &pulse_video_replicate, pulse_video_running,
          "kr2d2jhqbsrj60cjb2vtmekgh4", "", -1 },

        { "gemini-interactions/vercel-basic.json", &pulse_video_interactions,
          pulse_video_failed,
          "v1_ChdTbXNIYXFyUEV0ZUttdGtQNXVqVHdRRRIXU21zSGFxclBFdGVLbXRrUDV1alR"
          "3UUU", "", -1 },

        /* that is no answer to any of them */

        { "replicate/replicate-python-run__invalid-token.json",
          &pulse_video_replicate, pulse_video_failed, "", "", -1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(name, sizeof(name), "%s/data/recordings/%s", shared,
                 cases[i].file);

        text = unit_file(name);
        unit_case("%s", cases[i].file);
        check(text.data != NULL);

        for (step = 1; text.data && step <= text.len; step = step * 3 + 1) {
            test_read(cases[i].provider, (char *) text.data, text.len, step,
                      &said);

            check_int(said.state, cases[i].state);
            check_mem(said.operation.data, said.operation.len,
                      cases[i].operation, strlen(cases[i].operation));
            check_mem(said.url.data, said.url.len, cases[i].url,
                      strlen(cases[i].url));
            check_int(said.progress, cases[i].progress);
        }

        free(text.data);
    }

    unit_case(NULL);
}


static void
test_replicate(void)
{
    size_t              i;
    pulse_video_said_t  said;

    static const struct {
        const char           *text;
        pulse_video_state_e   state;
        ngx_int_t             progress;
    } cases[] = {
        { "{\"id\":\"a\",\"status\":\"processing\",\"logs\":\"7%|\"}",
          pulse_video_running, 7 },
        { "{\"id\":\"a\",\"status\":\"processing\",\"logs\":\"x %\"}",
          pulse_video_running, -1 },
        { "{\"id\":\"a\",\"status\":\"processing\",\"logs\":\"9999%\"}",
          pulse_video_running, -1 },
        { "{\"id\":\"a\",\"status\":\"succeeded\",\"output\":\"https://x\"}",
          pulse_video_done, -1 },
        { "{\"id\":\"a\",\"status\":\"succeeded\",\"output\":null}",
          pulse_video_failed, -1 },
        { "{\"id\":\"a\",\"status\":\"failed\",\"error\":\"NSFW content"
          " detected\"}", pulse_video_flagged, -1 },
        { "{\"id\":\"a\",\"status\":\"aborted\",\"error\":null}",
          pulse_video_failed, -1 },
        { "{\"id\":\"a\",\"input\":{\"status\":\"succeeded\"}}",
          pulse_video_unclear, -1 },
        { "[]", pulse_video_unclear, -1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].text);
        test_read(&pulse_video_replicate, cases[i].text,
                  strlen(cases[i].text), 1, &said);
        check_int(said.state, cases[i].state);
        check_int(said.progress, cases[i].progress);
    }

    unit_case(NULL);
}


static void
test_interactions(void)
{
    size_t              i;
    pulse_video_said_t  said;

    static const struct {
        const char           *text;
        pulse_video_state_e   state;
        const char           *url;
    } cases[] = {
        { "{\"id\":\"v1_a\",\"status\":\"queued\"}", pulse_video_running,
          "" },
        { "{\"id\":\"v1_a\",\"status\":\"completed\",\"output_video\":"
          "{\"uri\":\"https://x\"}}", pulse_video_done, "https://x" },
        { "{\"id\":\"v1_a\",\"status\":\"completed\",\"steps\":[{\"type\":"
          "\"thought\"},{\"content\":[{\"type\":\"video\",\"uri\":"
          "\"https://y\"}]}]}", pulse_video_done, "https://y" },
        { "{\"id\":\"v1_a\",\"status\":\"completed\",\"steps\":[{\"content\":"
          "[{\"text\":\"This is against our usage guidelines.\"}]}]}",
          pulse_video_flagged, "" },
        { "{\"id\":\"v1_a\",\"status\":\"failed\",\"error\":{\"message\":"
          "\"no\"}}", pulse_video_failed, "" },
        { "{\"error\":{\"code\":\"invalid_request\",\"message\":\"no\"}}",
          pulse_video_unclear, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].text);
        test_read(&pulse_video_interactions, cases[i].text,
                  strlen(cases[i].text), 1, &said);
        check_int(said.state, cases[i].state);
        check_mem(said.url.data, said.url.len, cases[i].url,
                  strlen(cases[i].url));
    }

    unit_case(NULL);
}


/* What is in the answer goes to the file, once. */

static void
test_base64(void)
{
    int                    fd;
    char                   bytes[32];
    size_t                 i;
    pulse_video_answer_t   answer;

    static const char  text[] =
        "{\"a\":{\"bytesBase64Encoded\":\"aGVsbG8sIHdvcmxk\",\"mimeType\":"
        "\"video/mp4\"},\"b\":{\"data\":\"bm90IHRoaXM=\"}}";

    fd = memfd_create("video", MFD_CLOEXEC);
    check(fd != -1);

    pulse_video_answer_init(&answer, test_pool, fd);

    for (i = 0; i < sizeof(text) - 1; i++) {
        check_int(pulse_video_answer_read(&answer, (u_char *) &text[i], 1),
                  NGX_OK);
    }

    check_int(pulse_video_answer_end(&answer), NGX_OK);
    check_int(answer.len, 12);
    check_int(pread(fd, bytes, sizeof(bytes), 0), 12);
    check_mem(bytes, 12, "hello, world", 12);
    check_int(pulse_video_find(&answer, "a", "mimeType").len, 9);
    check_int(pulse_video_find(&answer, "b", "mimeType").len, 0);

    close(fd);

    /* nowhere to put it */

    pulse_video_answer_init(&answer, test_pool, -1);
    check_int(pulse_video_answer_read(&answer, (u_char *) text,
                                      sizeof(text) - 1), NGX_ERROR);
    check(answer.failed);
    check_int(pulse_video_answer_end(&answer), NGX_ERROR);
}


/* It becomes a part of an address. */

static void
test_operation(void)
{
    size_t     i;
    ngx_str_t  name;

    static const char *const  bad[] = {
        "", "a/b", "a?b", "a b", "..", "a\nb", "a%2fb", "a#b"
    };

    ngx_str_set(&name, "v1_Ab-9");
    check(pulse_video_named(&name, "-_"));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_case("%s", bad[i]);
        name.data = (u_char *) bad[i];
        name.len = strlen(bad[i]);
        check(!pulse_video_named(&name, "-_"));
    }

    unit_case(NULL);
}


static void
test_read(const pulse_video_provider_t *provider, const char *text,
    size_t len, size_t step, pulse_video_said_t *said)
{
    size_t                 n;
    pulse_video_answer_t   answer;

    ngx_memzero(said, sizeof(pulse_video_said_t));
    said->state = pulse_video_unclear;
    said->progress = -1;

    pulse_video_answer_init(&answer, test_pool, -1);

    while (len) {
        n = ngx_min(step, len);
        check_int(pulse_video_answer_read(&answer, (u_char *) text, n),
                  NGX_OK);
        text += n;
        len -= n;
    }

    check_int(pulse_video_answer_end(&answer), NGX_OK);

    provider->read(&answer, test_pool, said);
}
