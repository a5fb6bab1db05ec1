
#include "ngx_http_pulse_auth.h"


/*
 * Tokens of our own: what a session's cookie bears, and what the sidecar asks
 * the gateway with in somebody's name.
 */


ngx_int_t
ngx_http_pulse_auth_sign(ngx_http_request_t *r,
    ngx_http_pulse_auth_claims_t *claims, ngx_pulse_buf_t *token)
{
    ngx_str_t                         text;
    ngx_pulse_buf_t                  *b;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_literal(b, "{\"iss\":");
    ngx_pulse_buf_json(b, amcf->issuer.data, amcf->issuer.len);
    ngx_pulse_buf_literal(b, ",\"aud\":");
    ngx_pulse_buf_json(b, amcf->audience.data, amcf->audience.len);
    ngx_pulse_buf_literal(b, ",\"sub\":");
    ngx_pulse_buf_json(b, claims->user.data, claims->user.len);
    ngx_pulse_buf_literal(b, ",\"sid\":");
    ngx_pulse_buf_json(b, claims->id.data, claims->id.len);

    if (claims->by) {
        ngx_pulse_buf_literal(b, ",\"by\":");
        ngx_pulse_buf_json(b, (u_char *) claims->by, ngx_strlen(claims->by));
    }

    ngx_pulse_buf_literal(b, ",\"locale\":");
    ngx_pulse_buf_json(b, claims->locale.data, claims->locale.len);
    ngx_pulse_buf_literal(b, ",\"iat\":");
    ngx_pulse_buf_int(b, claims->issued);
    ngx_pulse_buf_literal(b, ",\"exp\":");
    ngx_pulse_buf_int(b, claims->expires);
    ngx_pulse_buf_char(b, '}');

    text.data = b->data;
    text.len = b->len;

    if (b->failed
        || ngx_pulse_jwt_sign(amcf->ring->signer, &text, token) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse auth: a token cannot be signed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_auth_delegate(ngx_http_request_t *r, time_t lifetime,
    ngx_pulse_buf_t *token)
{
    ngx_http_pulse_record_t          *record;
    ngx_http_pulse_auth_claims_t      claims;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    static ngx_str_t  locales[] = { ngx_string("ar"), ngx_string("en") };

    amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);
    record = ngx_http_pulse_record(r);

    if (amcf->ring == NULL || record == NULL || record->user_id.len == 0) {
        return NGX_ERROR;
    }

    claims.user = record->user_id;
    claims.locale = locales[record->locale];
    claims.issued = ngx_time();
    claims.expires = claims.issued + lifetime;

    /* what ends the credential ends what was made of it; a foreign token has
     * nothing to end, and its user's id is nobody's session */

    if (record->key_id.len) {
        claims.id = record->key_id;
        claims.by = "key";

    } else {
        claims.id = record->session_id.len ? record->session_id
                                           : record->user_id;
        claims.by = NULL;
    }

    return ngx_http_pulse_auth_sign(r, &claims, token);
}
