
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "pulse_ctl.h"


#define PULSE_SES_VERSION  0x04
#define PULSE_SES_DIGEST   32


static ngx_int_t pulse_ctl_ses_derive(const char *secret, const char *region,
    u_char *digest);


int
pulse_ctl_mail_list(pulse_ctl_t *ctl)
{
    const char  *params[1];

    params[0] = pulse_ctl_option(ctl, "--limit");

    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    return pulse_ctl_query(ctl, 0, "SELECT * FROM admin_mail_list($1)", 1,
                           params);
}


int
pulse_ctl_mail_suppressed(pulse_ctl_t *ctl)
{
    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    return pulse_ctl_query(ctl, 0, "SELECT * FROM admin_mail_suppressed()", 0,
                           NULL);
}


int
pulse_ctl_mail_suppress(pulse_ctl_t *ctl)
{
    return pulse_ctl_one(ctl, "SELECT * FROM admin_mail_suppress($1)");
}


int
pulse_ctl_mail_allow(pulse_ctl_t *ctl)
{
    return pulse_ctl_one(ctl, "SELECT * FROM admin_mail_allow($1)");
}


/*
 * Amazon SES takes a password by SMTP that is derived from the secret key of
 * an account, and is good for one region.  The secret is read from the
 * environment: on the command line everybody would see it.
 */

int
pulse_ctl_mail_ses_password(pulse_ctl_t *ctl)
{
    u_char       raw[1 + PULSE_SES_DIGEST], text[64];
    const char  *secret;

    if (pulse_ctl_words(ctl, 1) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    secret = getenv("AWS_SECRET_ACCESS_KEY");

    if (secret == NULL || *secret == '\0') {
        return pulse_ctl_fail(ctl, PULSE_CTL_USAGE,
                              "AWS_SECRET_ACCESS_KEY is not set");
    }

    raw[0] = PULSE_SES_VERSION;

    if (pulse_ctl_ses_derive(secret, ctl->argv[0], raw + 1) != NGX_OK) {
        return pulse_ctl_fail(ctl, PULSE_CTL_REFUSED, "the secret is too long"
                              " or there is no memory");
    }

    ngx_pulse_buf_append(&ctl->out, text,
                         EVP_EncodeBlock(text, raw, sizeof(raw)));
    ngx_pulse_buf_char(&ctl->out, '\n');

    OPENSSL_cleanse(raw, sizeof(raw));
    OPENSSL_cleanse(text, sizeof(text));

    return PULSE_CTL_OK;
}


static ngx_int_t
pulse_ctl_ses_derive(const char *secret, const char *region, u_char *digest)
{
    int           n;
    char          key[256];
    u_char        next[EVP_MAX_MD_SIZE];
    unsigned      len;
    ngx_uint_t    i;
    ngx_int_t     rc;
    const char   *steps[] = {
        "11111111", region, "ses", "aws4_request", "SendRawEmail", NULL
    };

    n = snprintf(key, sizeof(key), "AWS4%s", secret);

    rc = (n < (int) sizeof(key)) ? NGX_OK : NGX_ERROR;

    for (i = 0; rc == NGX_OK && steps[i]; i++) {

        if (HMAC(EVP_sha256(), i ? (void *) digest : (void *) key,
                 i ? PULSE_SES_DIGEST : n, (u_char *) steps[i],
                 strlen(steps[i]), next, &len) == NULL)
        {
            rc = NGX_ERROR;
            break;
        }

        memcpy(digest, next, PULSE_SES_DIGEST);
    }

    OPENSSL_cleanse(key, sizeof(key));

    return rc;
}
