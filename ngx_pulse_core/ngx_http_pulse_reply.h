
#ifndef _NGX_HTTP_PULSE_REPLY_H_INCLUDED_
#define _NGX_HTTP_PULSE_REPLY_H_INCLUDED_


/* Inner parts of replies: what ngx_http_pulse_error.c has of the other. */


/* Appends "meta" of the studio's envelope. */
void ngx_http_pulse_meta(ngx_http_pulse_record_t *record, ngx_pulse_buf_t *b);

/* Sends a buffer as JSON; returns what a content handler does. */
ngx_int_t ngx_http_pulse_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_pulse_buf_t *b);

/* A header of the answer that is set already, or NULL. */
ngx_table_elt_t *ngx_http_pulse_find_header(ngx_http_request_t *r,
    const char *name, size_t len);


#endif /* _NGX_HTTP_PULSE_REPLY_H_INCLUDED_ */
