
#ifndef _NGX_HTTP_PULSE_AUTH_H_INCLUDED_
#define _NGX_HTTP_PULSE_AUTH_H_INCLUDED_


#include "ngx_http_pulse.h"
#include "ngx_pulse_jwt.h"


#define NGX_HTTP_PULSE_AUTH_OFF        0
#define NGX_HTTP_PULSE_AUTH_ON         1
#define NGX_HTTP_PULSE_AUTH_OPTIONAL   2
#define NGX_HTTP_PULSE_AUTH_INTERNAL   3

#define NGX_HTTP_PULSE_AUTH_SECURE_OFF   0
#define NGX_HTTP_PULSE_AUTH_SECURE_ON    1
#define NGX_HTTP_PULSE_AUTH_SECURE_AUTO  2      /* where TLS is in use */

#define NGX_HTTP_PULSE_AUTH_HASH_LEN   32
#define NGX_HTTP_PULSE_AUTH_SECRET     32       /* random bytes of a secret */
#define NGX_HTTP_PULSE_AUTH_TEXT       43       /* the same in base64url */
#define NGX_HTTP_PULSE_AUTH_NETWORK    64       /* room for its text */
#define NGX_HTTP_PULSE_AUTH_BAD_TIME   10000    /* ms, of what was refused */

#define NGX_HTTP_PULSE_AUTH_NONE       0        /* kinds of what is known */
#define NGX_HTTP_PULSE_AUTH_SESSION    1
#define NGX_HTTP_PULSE_AUTH_KEY        2
#define NGX_HTTP_PULSE_AUTH_IDENTITY   3
#define NGX_HTTP_PULSE_AUTH_USER       4        /* of revocations only */


typedef struct {
    ngx_str_t             issuer;
    ngx_str_t             audience;
    ngx_pulse_jwks_t     *jwks;
} ngx_http_pulse_auth_issuer_t;


typedef struct {
    ngx_pulse_jwks_t     *ring;             /* NULL: not configured */
    ngx_str_t             issuer;
    ngx_str_t             audience;
    ngx_array_t           issuers;          /* foreign ones */
    ngx_shm_zone_t       *zone;
    size_t                zone_size;
    ngx_str_t             cookie;
    ngx_uint_t            cookie_secure;
    time_t                session_time;
    time_t                leeway;
    ngx_uint_t            used;             /* by some location */

    /* of all keys and rules: what was verified under others is not found */
    u_char                seed[NGX_HTTP_PULSE_AUTH_HASH_LEN];
} ngx_http_pulse_auth_main_conf_t;


typedef struct {
    ngx_uint_t            mode;             /* NGX_HTTP_PULSE_AUTH_* */
} ngx_http_pulse_auth_loc_conf_t;


/*
 * Who a credential stands for.  "since" is the store's clock: when the
 * session began or when the store was asked.  "expires" is this node's.
 */

typedef struct {
    ngx_uint_t            kind;
    u_char                user[NGX_HTTP_PULSE_UUID_LEN];
    u_char                id[NGX_HTTP_PULSE_UUID_LEN];    /* session or key */
    int64_t               since;            /* ms */
    int64_t               expires;          /* ms */
    unsigned              has_user:1;
    unsigned              internal:1;
    unsigned              locale:2;
} ngx_http_pulse_auth_identity_t;


/* what a request brings */

typedef struct {
    ngx_str_t             text;             /* data is NULL: nothing */
    ngx_uint_t            by;               /* NGX_HTTP_PULSE_BY_* */
    ngx_uint_t            bad;              /* something, but no credential */
} ngx_http_pulse_auth_credential_t;


/* what a token of our own says */

typedef struct {
    ngx_str_t             user;
    ngx_str_t             id;               /* of a session or a key */
    ngx_str_t             locale;
    const char           *by;               /* "key", NULL: a session */
    int64_t               issued;           /* s */
    int64_t               expires;
} ngx_http_pulse_auth_claims_t;


/* --- ngx_http_pulse_auth_credential.c --- */

/* The credential that decides; it stays in the request's headers. */
void ngx_http_pulse_auth_credential(ngx_http_request_t *r, ngx_str_t *cookie,
    ngx_http_pulse_auth_credential_t *credential);

/* 1 if a request that a cookie vouches for was made by our own pages, or
 * changes nothing. */
ngx_uint_t ngx_http_pulse_auth_same_site(ngx_http_request_t *r);

/* The client's /24 or /64 as text; "buf" has room for AUTH_NETWORK bytes. */
ngx_str_t ngx_http_pulse_auth_network(ngx_http_request_t *r, u_char *buf);

/* SHA-256 of one or two pieces. */
ngx_int_t ngx_http_pulse_auth_hash(u_char *hash, const u_char *one,
    size_t one_len, const u_char *two, size_t two_len);

/* A secret of 43 characters, and the hash of "prefix" and the secret as a
 * bytea literal in r->pool. */
ngx_int_t ngx_http_pulse_auth_secret(ngx_http_request_t *r,
    const char *prefix, ngx_str_t *secret, ngx_str_t *bytea);
ngx_int_t ngx_http_pulse_auth_bytea(ngx_http_request_t *r,
    const ngx_str_t *secret, ngx_str_t *bytea);

/* 1 if these are the 43 characters that 32 bytes make. */
ngx_uint_t ngx_http_pulse_auth_secret_valid(const u_char *p, size_t len);


/* --- ngx_http_pulse_auth_access.c --- */

ngx_int_t ngx_http_pulse_auth_handler(ngx_http_request_t *r);

extern ngx_pulse_pg_statement_t  ngx_http_pulse_auth_access_statements[];
extern ngx_pulse_metric_t        ngx_http_pulse_auth_metrics[];
extern ngx_uint_t                ngx_http_pulse_auth_nmetrics;


/* --- ngx_http_pulse_auth_zone.c --- */

/*
 * Shared by the workers of a node: what was verified lately, and what has
 * been revoked.  Each call takes the zone's lock once.
 */

ngx_int_t ngx_http_pulse_auth_zone_init(ngx_shm_zone_t *zone, void *data);

/* NGX_OK with "identity"; NGX_DECLINED: known to be no good; NGX_AGAIN: not
 * known. */
ngx_int_t ngx_http_pulse_auth_zone_find(ngx_shm_zone_t *zone,
    const u_char *hash, ngx_http_pulse_auth_identity_t *identity);

/* Remembers; what is used least goes when there is no room. */
void ngx_http_pulse_auth_zone_store(ngx_shm_zone_t *zone, const u_char *hash,
    ngx_http_pulse_auth_identity_t *identity);

/* Remembers for some seconds that it is no good.  These have a share of the
 * zone of their own, so that garbage never displaces what is good. */
void ngx_http_pulse_auth_zone_store_bad(ngx_shm_zone_t *zone,
    const u_char *hash);

/* Counts a failure of a client network; how many there were lately, and when
 * they are forgotten (ms). */
void ngx_http_pulse_auth_zone_failed(ngx_shm_zone_t *zone,
    const u_char *hash);
ngx_uint_t ngx_http_pulse_auth_zone_failures(ngx_shm_zone_t *zone,
    const u_char *hash, int64_t *expires);

/* NGX_OK; NGX_DECLINED: revoked; NGX_AGAIN: only the store can tell, because
 * the revocations are not here yet, or because the user was let back in. */
ngx_int_t ngx_http_pulse_auth_zone_check(ngx_shm_zone_t *zone,
    ngx_http_pulse_auth_identity_t *identity);

/* "time" and "expires" in ms of the store's clock. */
void ngx_http_pulse_auth_zone_revoke(ngx_shm_zone_t *zone, ngx_uint_t kind,
    const u_char *id, int64_t time, int64_t expires);

/* The snapshot to read the revocations from (NUL terminated, 24 bytes). */
void ngx_http_pulse_auth_zone_snapshot(ngx_shm_zone_t *zone, u_char *text);

/* All up to this snapshot are here; drops some of those that have expired.
 * Returns how many there are; "overflow" is 1 if some found no room, and all
 * is asked of the store until a new reading finds some. */
ngx_uint_t ngx_http_pulse_auth_zone_loaded(ngx_shm_zone_t *zone,
    const ngx_str_t *snapshot, ngx_uint_t *overflow);

/* 1 if this worker reads the revocations for the node; "release": another
 * shall. */
ngx_uint_t ngx_http_pulse_auth_zone_elect(ngx_shm_zone_t *zone);
void ngx_http_pulse_auth_zone_release(ngx_shm_zone_t *zone);


/* --- ngx_http_pulse_auth_revocation.c --- */

/* Starts and stops following the revocations in this worker. */
ngx_int_t ngx_http_pulse_auth_follow(ngx_cycle_t *cycle,
    ngx_shm_zone_t *zone);
void ngx_http_pulse_auth_unfollow(ngx_shm_zone_t *zone);

/* After the store has it: holds on this node now, on the others at the
 * message or at their next poll. */
void ngx_http_pulse_auth_revoked(ngx_http_request_t *r, ngx_uint_t kind,
    const ngx_str_t *id);

extern ngx_pulse_pg_statement_t  ngx_http_pulse_auth_revocation_statements[];


/* --- ngx_http_pulse_auth_token.c --- */

/* Appends a token, signed with the ring's active key. */
ngx_int_t ngx_http_pulse_auth_sign(ngx_http_request_t *r,
    ngx_http_pulse_auth_claims_t *claims, ngx_pulse_buf_t *token);

/* Appends a token for whoever made the request, good for "lifetime" seconds
 * and no longer than the credential that vouched for it.  NGX_ERROR if it was
 * nobody, or there is no ring. */
ngx_int_t ngx_http_pulse_auth_delegate(ngx_http_request_t *r, time_t lifetime,
    ngx_pulse_buf_t *token);


/* --- ngx_http_pulse_auth_session.c, ngx_http_pulse_auth_keys.c --- */

extern ngx_http_pulse_route_t    ngx_http_pulse_auth_session_routes[];
extern ngx_pulse_pg_statement_t  ngx_http_pulse_auth_session_statements[];
extern ngx_http_pulse_route_t    ngx_http_pulse_auth_key_routes[];
extern ngx_pulse_pg_statement_t  ngx_http_pulse_auth_key_statements[];


extern ngx_module_t  ngx_http_pulse_auth_module;


#endif /* _NGX_HTTP_PULSE_AUTH_H_INCLUDED_ */
