
#ifndef _NGX_HTTP_PULSE_DOCS_H_INCLUDED_
#define _NGX_HTTP_PULSE_DOCS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_pulse.h"
#include "ngx_http_pulse_auth.h"
#include "ngx_pulse_link.h"


typedef struct {
    ngx_str_t                      store;   /* directory of the files */
    ngx_pulse_link_key_t          *key;     /* NULL: there is no store */
    ngx_http_upstream_resolved_t   sidecar;
} ngx_http_pulse_docs_main_conf_t;


typedef struct {
    ngx_str_t                      feature; /* of plans, empty: none */
    ngx_str_t                      stored;  /* URI of the internal location */
    ngx_uint_t                     chat;    /* may be asked for an answer */
    ngx_uint_t                     form;    /* takes multipart/form-data */
    ngx_uint_t                     open;    /* to those without an account */
    ngx_http_upstream_conf_t       upstream;
} ngx_http_pulse_docs_loc_conf_t;


/* --- what passes to the sidecar (ngx_http_pulse_docs_handler.c) --- */

/* The content handler of "pulse_docs". */
ngx_int_t ngx_http_pulse_docs_handler(ngx_http_request_t *r);

/* Asks if the plan of a user has a feature. */
extern ngx_pulse_pg_statement_t  ngx_http_pulse_docs_feature_statement;


/* --- files themselves (ngx_http_pulse_docs_files.c) --- */

/* The content handler of "pulse_files": GET and PUT of signed links. */
ngx_int_t ngx_http_pulse_docs_files_handler(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_pulse_docs_module;


#endif /* _NGX_HTTP_PULSE_DOCS_H_INCLUDED_ */
