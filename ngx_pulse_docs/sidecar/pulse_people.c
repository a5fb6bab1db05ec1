
#include <openssl/evp.h>
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_id.h"
#include "pulse_ctl.h"
#include "pulse_file.h"
#include "pulse_hex.h"


#define PULSE_KEY_BYTES   32
#define PULSE_KEY_MAX     16384         /* of a file that may be any */
#define PULSE_KEY_HEX     (2 * EVP_MAX_MD_SIZE + 3)
#define PULSE_KEY_PREFIX  8             /* characters that lists show */
#define PULSE_CTL_AUDITS  3             /* totals, the meter, payments */


static int pulse_key_insert(pulse_ctl_t *ctl, ngx_pulse_buf_t *key,
    const char **params);
static int pulse_key_reuse(pulse_ctl_t *ctl, const char *file,
    ngx_uint_t *found);
static int pulse_ctl_audited(pulse_ctl_t *ctl, PGresult **results);
static ngx_int_t pulse_key_hash(const u_char *key, size_t len, char *hex);
static ngx_int_t pulse_key_new(ngx_pulse_buf_t *key);


int
pulse_ctl_user_add(pulse_ctl_t *ctl)
{
    char         id[37];
    const char  *params[4];

    params[2] = pulse_ctl_option(ctl, "--locale");
    params[3] = pulse_ctl_option(ctl, "--plan");

    if (pulse_ctl_words(ctl, 1) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    ngx_pulse_uuid7((u_char *) id);
    id[36] = '\0';

    params[0] = id;
    params[1] = ctl->argv[0];

    return pulse_ctl_query(ctl, 1,
                           "SELECT * FROM admin_user_add($1, $2, $3, $4)",
                           4, params);
}


int
pulse_ctl_user_list(pulse_ctl_t *ctl)
{
    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    return pulse_ctl_query(ctl, 0, "SELECT * FROM admin_user_list()", 0, NULL);
}


int
pulse_ctl_identity_add(pulse_ctl_t *ctl)
{
    if (pulse_ctl_words(ctl, 3) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    return pulse_ctl_query(ctl, 1,
                           "SELECT * FROM admin_identity_add($1, $2, $3)", 3,
                           (const char *const *) ctl->argv);
}


/*
 * With --file the key goes there and stays the same: a file whose key is
 * still good is left alone, so that a start script can call this each time.
 */

int
pulse_ctl_key_add(pulse_ctl_t *ctl)
{
    int              rc;
    const char      *file, *params[7];
    ngx_uint_t       service, found;
    ngx_pulse_buf_t  key;

    service = pulse_ctl_flag(ctl, "--service");
    file = pulse_ctl_option(ctl, "--file");

    params[2] = pulse_ctl_option(ctl, "--name");
    params[2] = params[2] ? params[2] : "pulsectl";
    params[5] = pulse_ctl_option(ctl, "--expires");
    params[6] = service ? "true" : "false";

    if (pulse_ctl_words(ctl, service ? 0 : 1) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    if (file) {
        rc = pulse_key_reuse(ctl, file, &found);

        if (rc != PULSE_CTL_OK || found) {
            return rc;
        }
    }

    params[1] = service ? NULL : ctl->argv[0];

    ngx_pulse_buf_init(&key, PULSE_KEY_MAX);

    if (file == NULL) {
        ctl->secret = &key;
    }

    rc = pulse_key_insert(ctl, &key, params);

    if (rc == PULSE_CTL_OK && file) {
        ngx_pulse_buf_char(&key, '\n');

        if (pulse_file_write(file, 0600, key.data, key.len) != NGX_OK) {
            rc = pulse_ctl_fail(ctl, PULSE_CTL_REFUSED,
                                "cannot write \"%s\": %s", file,
                                strerror(errno));
        }
    }

    OPENSSL_cleanse(key.data, key.len);
    ngx_pulse_buf_free(&key);

    return rc;
}


/* Makes it, and adds what is the key's to "params". */

static int
pulse_key_insert(pulse_ctl_t *ctl, ngx_pulse_buf_t *key, const char **params)
{
    char  id[37], prefix[PULSE_KEY_PREFIX + 1], hash[PULSE_KEY_HEX];

    if (pulse_key_new(key) != NGX_OK
        || pulse_key_hash(key->data, key->len, hash) != NGX_OK)
    {
        return pulse_ctl_fail(ctl, PULSE_CTL_REFUSED, "no random bytes");
    }

    ngx_pulse_uuid7((u_char *) id);
    id[36] = '\0';

    snprintf(prefix, sizeof(prefix), "%.*s", PULSE_KEY_PREFIX, key->data);

    params[0] = id;
    params[3] = prefix;
    params[4] = hash;

    return pulse_ctl_query(ctl, 1, "SELECT * FROM admin_key_add($1, $2, $3,"
                           " $4, $5, $6, $7)", 7, params);
}


static int
pulse_key_reuse(pulse_ctl_t *ctl, const char *file, ngx_uint_t *found)
{
    int              rc;
    char             hash[PULSE_KEY_HEX];
    PGresult        *res;
    const char      *params[1];
    ngx_pulse_buf_t  key;

    *found = 0;

    ngx_pulse_buf_init(&key, PULSE_KEY_MAX);

    if (pulse_file_read(file, &key) != NGX_OK) {
        ngx_pulse_buf_free(&key);

        if (errno == ENOENT) {
            return PULSE_CTL_OK;
        }

        return pulse_ctl_fail(ctl, PULSE_CTL_REFUSED, "cannot read \"%s\": %s",
                              file, strerror(errno));
    }

    while (key.len && key.data[key.len - 1] == '\n') {
        key.len--;
    }

    rc = PULSE_CTL_UNAVAILABLE;
    params[0] = hash;

    if (pulse_key_hash(key.data, key.len, hash) == NGX_OK
        && pulse_ctl_connect(ctl) == NGX_OK)
    {
        res = pulse_store_query(&ctl->store,
                                "SELECT key_id AS id FROM auth_key($1)", 1,
                                params);
        if (res == NULL) {
            rc = pulse_ctl_store_failed(ctl);

        } else {
            rc = PULSE_CTL_OK;

            if (PQntuples(res) == 1) {
                *found = 1;
                pulse_ctl_rows(ctl, res, 1);
            }
        }

        PQclear(res);
    }

    ngx_pulse_buf_free(&key);

    return rc;
}


static ngx_int_t
pulse_key_new(ngx_pulse_buf_t *key)
{
    u_char  *p, secret[PULSE_KEY_BYTES];

    if (ngx_pulse_random(secret, sizeof(secret)) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_literal(key, "pk_");

    p = ngx_pulse_buf_reserve(key,
                              ngx_pulse_base64url_encoded(sizeof(secret)));
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->len += ngx_pulse_base64url_encode(p, secret, sizeof(secret)) - p;

    OPENSSL_cleanse(secret, sizeof(secret));

    return NGX_OK;
}


/* SHA-256 as Postgres writes a bytea */

static ngx_int_t
pulse_key_hash(const u_char *key, size_t len, char *hex)
{
    u_char    digest[EVP_MAX_MD_SIZE];
    unsigned  n;

    if (EVP_Digest(key, len, digest, &n, EVP_sha256(), NULL) != 1) {
        return NGX_ERROR;
    }

    strcpy(hex, "\\x");

    pulse_hex(hex + 2, digest, n);

    return NGX_OK;
}


int
pulse_ctl_key_list(pulse_ctl_t *ctl)
{
    const char  *params[1];

    if (pulse_ctl_words(ctl, ctl->argc ? 1 : 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    params[0] = ctl->argc ? ctl->argv[0] : NULL;

    return pulse_ctl_query(ctl, 0, "SELECT * FROM admin_key_list($1)", 1,
                           params);
}


int
pulse_ctl_grant(pulse_ctl_t *ctl)
{
    ngx_uint_t    given;
    const char   *params[3], *value;
    const char  **what;

    static const char  *options[] = {
        "--tokens", "--images", "--videos", "--plan", "--addon", NULL
    };

    given = 0;

    for (what = options; *what; what++) {

        value = pulse_ctl_option(ctl, *what);

        if (value) {
            params[1] = *what + 2;
            params[2] = value;
            given++;
        }
    }

    if (given != 1 || pulse_ctl_words(ctl, 1) != NGX_OK) {
        return pulse_ctl_fail(ctl, PULSE_CTL_USAGE, "grant takes one address"
                              " and one of its options");
    }

    params[0] = ctl->argv[0];

    return pulse_ctl_query(ctl, 1, "SELECT * FROM admin_grant($1, $2, $3)", 3,
                           params);
}


int
pulse_ctl_revoke(pulse_ctl_t *ctl)
{
    const char  *key, *session, *params[2];

    key = pulse_ctl_option(ctl, "--key");
    session = pulse_ctl_option(ctl, "--session");

    if (pulse_ctl_words(ctl, (key || session) ? 0 : 1) != NGX_OK
        || (key && session))
    {
        return PULSE_CTL_USAGE;
    }

    params[0] = key ? "key" : session ? "session" : "user";
    params[1] = key ? key : session ? session : ctl->argv[0];

    return pulse_ctl_query(ctl, 1, "SELECT * FROM admin_revoke($1, $2)", 2,
                           params);
}


/* What was looked at, and one row a difference; none is what one wants to
 * see. */

int
pulse_ctl_audit(pulse_ctl_t *ctl)
{
    int          rc;
    ngx_uint_t   i;
    PGresult    *results[PULSE_CTL_AUDITS];

    static const char *const  sql[] = {
        "SELECT * FROM usage_audit_totals()",
        "SELECT * FROM usage_audit()",
        "SELECT * FROM payments_audit()"
    };

    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    if (pulse_ctl_connect(ctl) != NGX_OK) {
        return PULSE_CTL_UNAVAILABLE;
    }

    for (i = 0; i < PULSE_CTL_AUDITS; i++) {
        results[i] = pulse_store_query(&ctl->store, sql[i], 0, NULL);

        if (results[i] == NULL) {
            break;
        }
    }

    rc = (i == PULSE_CTL_AUDITS) ? pulse_ctl_audited(ctl, results)
                                 : pulse_ctl_store_failed(ctl);

    while (i) {
        PQclear(results[--i]);
    }

    return rc;
}


static int
pulse_ctl_audited(pulse_ctl_t *ctl, PGresult **results)
{
    int          rc;
    ngx_uint_t   i;

    static const char *const  names[] = {
        "{\"totals\":", ",\"differences\":", ",\"payments\":"
    };

    rc = PULSE_CTL_OK;

    for (i = 0; i < PULSE_CTL_AUDITS; i++) {

        if (i && PQntuples(results[i])) {
            rc = PULSE_CTL_REFUSED;

        } else if (i && !ctl->json) {
            continue;
        }

        if (ctl->json) {
            ngx_pulse_buf_append(&ctl->out, (u_char *) names[i],
                                 strlen(names[i]));

        } else if (i) {
            ngx_pulse_buf_char(&ctl->out, '\n');
        }

        pulse_ctl_rows(ctl, results[i], 0);
    }

    if (ctl->json) {
        ngx_pulse_buf_literal(&ctl->out, "}\n");

    } else if (rc == PULSE_CTL_OK) {
        ngx_pulse_buf_literal(&ctl->out, "\nclean\n");
    }

    return rc;
}
