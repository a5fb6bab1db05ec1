
#include <errno.h>
#include <openssl/rand.h>
#include "ngx_pulse_moderation.h"
#include "pulse_file.h"
#include "pulse_log.h"
#include "pulse_moderate_fetch.h"
#include "pulse_reply.h"


#define PULSE_MODERATE_RULES     (1024 * 1024)     /* bytes of a file */
#define PULSE_MODERATE_KEY       4096
#define PULSE_MODERATE_PATIENCE  60             /* s */
#define PULSE_MODERATE_TOLD      2048           /* bytes of a header */


/* what nginx says is to be asked, as bits */

#define PULSE_MODERATE_LOCAL     0x01
#define PULSE_MODERATE_PROVIDER  0x02


static ngx_int_t pulse_moderate_read(const char *file);
static ngx_int_t pulse_moderate_key_read(const char *file);
static ngx_uint_t pulse_moderate_mode(pulse_http_request_t *r,
    ngx_uint_t *refuse);
static void pulse_moderate_tell(pulse_http_request_t *r, const char *result,
    const ngx_pulse_buf_t *details);
static pulse_moderate_e pulse_moderate_local(
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *details);
static pulse_moderate_e pulse_moderate_provider(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *details);
static void pulse_moderate_flagged(const char *by,
    const ngx_pulse_buf_t *names, const ngx_str_t *text,
    ngx_pulse_buf_t *details);


static const char  pulse_moderate_details[] = "{\"categories\":";


/* set before threads start, and never changed */

static ngx_pulse_moderation_rules_t  *pulse_moderate_rules;
static ngx_str_t                      pulse_moderate_key;


ngx_int_t
pulse_moderate_init(const pulse_moderate_conf_t *conf)
{
    unsigned long  seconds;

    if (conf->rules && pulse_moderate_read(conf->rules) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->timeout) {
        seconds = strtoul(conf->timeout, NULL, 10);

        if (seconds == 0 || seconds > PULSE_MODERATE_PATIENCE) {
            pulse_log(PULSE_LOG_ERR, "pulse moderation: --moderation-timeout"
                      " is 1 to %d seconds", PULSE_MODERATE_PATIENCE);
            return NGX_ERROR;
        }

        pulse_moderate_fetch_timeout(seconds);
    }

    return pulse_moderate_key_read(conf->key);
}


static ngx_int_t
pulse_moderate_read(const char *file)
{
    ngx_str_t                      text;
    ngx_pool_t                    *pool;
    ngx_pulse_buf_t                b;
    ngx_pulse_moderation_fault_t   fault;

    ngx_pulse_buf_init(&b, PULSE_MODERATE_RULES);

    if (pulse_file_read(file, &b) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse moderation: \"%s\" cannot be read:"
                  " %s", file, strerror(errno));
        ngx_pulse_buf_free(&b);
        return NGX_ERROR;
    }

    text.data = b.data;
    text.len = b.len;

    fault.line = 0;
    fault.reason = NULL;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, NULL);

    if (pool) {
        pulse_moderate_rules = ngx_pulse_moderation_read(pool, &text, &fault);
    }

    ngx_pulse_buf_free(&b);

    if (pulse_moderate_rules == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse moderation: \"%s\": line %lu %s",
                  file, (unsigned long) fault.line,
                  fault.reason ? fault.reason : "is too much for the memory");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Without a file hashes are worth as much until the next start.  The first
 * that finds no file makes it, for nginx too. */

static ngx_int_t
pulse_moderate_key_read(const char *file)
{
    ngx_int_t        rc;
    ngx_pulse_buf_t  b;

    static u_char  random[NGX_PULSE_MODERATION_KEY];

    if (RAND_bytes(random, sizeof(random)) != 1) {
        pulse_log(PULSE_LOG_ERR, "pulse moderation: there is no randomness");
        return NGX_ERROR;
    }

    pulse_moderate_key.data = random;
    pulse_moderate_key.len = sizeof(random);

    if (file == NULL) {
        return NGX_OK;
    }

    ngx_pulse_buf_init(&b, PULSE_MODERATE_KEY);

    rc = pulse_file_read(file, &b);

    if (rc != NGX_OK && errno == ENOENT) {
        ngx_pulse_buf_append(&b, random, sizeof(random));
        rc = pulse_file_write(file, 0600, random, sizeof(random));
    }

    if (rc != NGX_OK || b.len < NGX_PULSE_MODERATION_KEY) {
        pulse_log(PULSE_LOG_ERR, "pulse moderation: \"%s\" is no key of %d"
                  " bytes or more", file, NGX_PULSE_MODERATION_KEY);
        ngx_pulse_buf_free(&b);
        return NGX_ERROR;
    }

    /* it is kept until the end */

    pulse_moderate_key.data = b.data;
    pulse_moderate_key.len = b.len;

    return NGX_OK;
}


ngx_int_t
pulse_moderate(pulse_http_request_t *r, const pulse_moderate_input_t *input,
    enum MHD_Result *rc)
{
    pulse_moderate_e  verdict;
    ngx_pulse_buf_t   details;

    ngx_pulse_buf_init(&details, 0);

    verdict = pulse_moderate_ask(r, input, &details);

    switch (verdict) {

    case PULSE_MODERATE_PASSES:
        return NGX_OK;

    case PULSE_MODERATE_FLAGGED:
        *rc = pulse_reply_error(r, pulse_reply_flagged, &details);
        break;

    case PULSE_MODERATE_UNFIT:
        *rc = pulse_reply_field(r, "", "في الطلب صورة لا يستطيع فحص المحتوى"
                                " قراءتها.",
                                "has a picture that moderation cannot read");
        break;

    case PULSE_MODERATE_DOWN:
        *rc = pulse_reply_error(r, pulse_reply_moderation, NULL);
        break;

    default: /* PULSE_MODERATE_ERROR */
        *rc = pulse_reply_error(r, pulse_reply_internal, NULL);
        break;
    }

    ngx_pulse_buf_free(&details);

    return NGX_DECLINED;
}


pulse_moderate_e
pulse_moderate_ask(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *details)
{
    ngx_uint_t         mode, refuse;
    const char        *result;
    pulse_moderate_e   verdict;

    mode = pulse_moderate_mode(r, &refuse);

    if (mode == 0) {
        return PULSE_MODERATE_PASSES;
    }

    verdict = PULSE_MODERATE_PASSES;
    result = "passed";

    if (mode & PULSE_MODERATE_LOCAL) {
        verdict = pulse_moderate_local(input, details);
        result = (verdict == PULSE_MODERATE_FLAGGED) ? "flagged_by_rules"
                                                     : result;
    }

    if (verdict == PULSE_MODERATE_PASSES
        && (mode & PULSE_MODERATE_PROVIDER))
    {
        verdict = pulse_moderate_provider(r, input, details);
        result = (verdict == PULSE_MODERATE_FLAGGED) ? "flagged_by_provider"
                                                     : result;
    }

    if (verdict == PULSE_MODERATE_UNFIT) {
        result = "unfit";
    }

    if (verdict == PULSE_MODERATE_DOWN) {
        result = refuse ? "refused_unchecked" : "passed_unchecked";
        verdict = refuse ? verdict : PULSE_MODERATE_PASSES;
    }

    if (verdict != PULSE_MODERATE_ERROR) {
        pulse_moderate_tell(r, result, details);
    }

    return verdict;
}


/* The figures are nginx's: it has them of what it looks at itself, and outlives
 * us. */

static void
pulse_moderate_tell(pulse_http_request_t *r, const char *result,
    const ngx_pulse_buf_t *details)
{
    size_t           head;
    ngx_pulse_buf_t  b;

    head = sizeof(pulse_moderate_details) - 1;

    ngx_pulse_buf_init(&b, PULSE_MODERATE_TOLD);
    ngx_pulse_buf_append(&b, (u_char *) result, strlen(result));

    if (details->len > head) {
        ngx_pulse_buf_char(&b, ' ');
        ngx_pulse_buf_append(&b, details->data + head,
                             details->len - head - 1);
    }

    ngx_pulse_buf_char(&b, '\0');

    /* more than any list of rules or provider has is counted as a refusal,
     * and without its categories */

    r->moderated = pulse_http_text(r, b.failed ? result : (char *) b.data);

    ngx_pulse_buf_free(&b);
}


/* "off", "local", "provider" or "both", then "refuse" or "pass".  A request
 * of which nginx says nothing is checked by what there is. */

static ngx_uint_t
pulse_moderate_mode(pulse_http_request_t *r, ngx_uint_t *refuse)
{
    ngx_str_t  header;

    header = pulse_http_header(r, "X-Pulse-Moderation");

    *refuse = (header.len < 5
               || memcmp(header.data + header.len - 5, " pass", 5) != 0);

    if (header.len >= 3 && memcmp(header.data, "off", 3) == 0) {
        return 0;
    }

    if (header.len >= 8 && memcmp(header.data, "provider", 8) == 0) {
        return PULSE_MODERATE_PROVIDER;
    }

    if (header.len >= 4 && memcmp(header.data, "both", 4) == 0) {
        return PULSE_MODERATE_LOCAL|PULSE_MODERATE_PROVIDER;
    }

    return PULSE_MODERATE_LOCAL;
}


static pulse_moderate_e
pulse_moderate_local(const pulse_moderate_input_t *input,
    ngx_pulse_buf_t *details)
{
    uint32_t                found;
    ngx_uint_t              i;
    const ngx_str_t        *flagged;
    ngx_pulse_buf_t         names;
    ngx_pulse_moderation_t  m;

    if (pulse_moderate_rules == NULL) {
        return PULSE_MODERATE_PASSES;
    }

    flagged = NULL;

    ngx_pulse_moderation_start(&m, pulse_moderate_rules);

    for (i = 0; i < input->ntexts; i++) {
        ngx_pulse_moderation_feed(&m, input->texts[i].data,
                                  input->texts[i].len);
        found = ngx_pulse_moderation_end(&m);

        if (found && flagged == NULL) {
            flagged = &input->texts[i];
        }
    }

    if (flagged == NULL) {
        return PULSE_MODERATE_PASSES;
    }

    ngx_pulse_buf_init(&names, 0);
    ngx_pulse_moderation_names(pulse_moderate_rules, m.categories, &names);

    pulse_moderate_flagged("rules", &names, flagged, details);

    ngx_pulse_buf_free(&names);

    return details->failed ? PULSE_MODERATE_ERROR : PULSE_MODERATE_FLAGGED;
}


static pulse_moderate_e
pulse_moderate_provider(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *details)
{
    ngx_uint_t        i;
    ngx_str_t         text;
    ngx_pulse_buf_t   names, all;
    pulse_moderate_e  verdict;

    ngx_pulse_buf_init(&names, 0);

    verdict = pulse_moderate_fetch(r, input, &names);

    if (verdict == PULSE_MODERATE_FLAGGED) {
        ngx_pulse_buf_init(&all, 0);

        for (i = 0; i < input->ntexts; i++) {
            ngx_pulse_buf_str(&all, &input->texts[i]);
            ngx_pulse_buf_char(&all, '\n');
        }

        text.data = all.data;
        text.len = all.len;

        pulse_moderate_flagged("provider", &names, &text, details);

        details->failed |= all.failed;
        ngx_pulse_buf_free(&all);

        verdict = details->failed ? PULSE_MODERATE_ERROR : verdict;
    }

    ngx_pulse_buf_free(&names);

    return verdict;
}


/* The log has what was refused as a hash only. */

static void
pulse_moderate_flagged(const char *by, const ngx_pulse_buf_t *names,
    const ngx_str_t *text, ngx_pulse_buf_t *details)
{
    u_char  hash[NGX_PULSE_MODERATION_HASH];

    ngx_pulse_buf_append(details, (u_char *) pulse_moderate_details,
                         sizeof(pulse_moderate_details) - 1);
    ngx_pulse_buf_str(details, names);
    ngx_pulse_buf_char(details, '}');

    details->failed |= names->failed;

    ngx_pulse_moderation_hash(&pulse_moderate_key, text->data, text->len,
                              hash);

    pulse_log(PULSE_LOG_NOTICE, "pulse moderation: flagged by %s: %.*s:"
              " %.*s", by, (int) names->len, (char *) names->data,
              (int) sizeof(hash), hash);
}
