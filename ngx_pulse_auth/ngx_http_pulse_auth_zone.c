
#include "ngx_http_pulse_auth.h"


#define NGX_HTTP_PULSE_AUTH_BAD_SHARE  2048     /* bytes of zone for each */
#define NGX_HTTP_PULSE_AUTH_EVICT      8        /* entries for one new one */
#define NGX_HTTP_PULSE_AUTH_EVICT_ALL  1000000
#define NGX_HTTP_PULSE_AUTH_SWEEP      256      /* revocations at a time */
#define NGX_HTTP_PULSE_AUTH_MARGIN     2000     /* ms */
#define NGX_HTTP_PULSE_AUTH_SILENCE    1500     /* ms of a worker */
#define NGX_HTTP_PULSE_AUTH_AGAIN      10000    /* ms to read all anew */
#define NGX_HTTP_PULSE_AUTH_SNAPSHOT   24


typedef struct {
    ngx_rbtree_node_t                node;      /* key: start of the hash */
    ngx_queue_t                      queue;
    u_char                           hash[NGX_HTTP_PULSE_AUTH_HASH_LEN];
    ngx_uint_t                       bad;       /* in that queue */
    ngx_uint_t                       failures;  /* of a client network */
    ngx_http_pulse_auth_identity_t   identity;  /* kind NONE: no good */
} ngx_http_pulse_auth_entry_t;


typedef struct {
    ngx_rbtree_node_t                node;      /* key: CRC of the id */
    ngx_queue_t                      queue;
    u_char                           id[NGX_HTTP_PULSE_UUID_LEN];
    uint32_t                         kind;
    int64_t                          time;
    int64_t                          expires;
} ngx_http_pulse_auth_revocation_t;


typedef struct {
    ngx_rbtree_t                     entries;
    ngx_rbtree_node_t                entries_sentinel;
    ngx_queue_t                      good;      /* used last comes first */
    ngx_queue_t                      bad;
    ngx_uint_t                       nbad;

    ngx_rbtree_t                     revocations;
    ngx_rbtree_node_t                revocations_sentinel;
    ngx_queue_t                      revoked;
    ngx_uint_t                       nrevoked;
    ngx_uint_t                       loaded;
    ngx_uint_t                       overflow;  /* some found no room ... */
    ngx_uint_t                       failed;    /* ... since this reading */
    ngx_uint_t                       whole;     /* it began at the start */
    ngx_msec_t                       began;
    u_char                           snapshot[NGX_HTTP_PULSE_AUTH_SNAPSHOT];

    ngx_pid_t                        owner;
    ngx_msec_t                       seen;      /* of the owner */
} ngx_http_pulse_auth_shctx_t;


static void ngx_http_pulse_auth_entry_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static void ngx_http_pulse_auth_revocation_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_rbtree_key_t ngx_http_pulse_auth_entry_key(const u_char *hash);
static ngx_http_pulse_auth_entry_t *ngx_http_pulse_auth_entry(
    ngx_http_pulse_auth_shctx_t *sh, const u_char *hash);
static ngx_http_pulse_auth_entry_t *ngx_http_pulse_auth_entry_any(
    ngx_http_pulse_auth_shctx_t *sh, const u_char *hash);
static ngx_http_pulse_auth_entry_t *ngx_http_pulse_auth_entry_make(
    ngx_shm_zone_t *zone, const u_char *hash, ngx_queue_t *queue);
static void ngx_http_pulse_auth_entry_free(ngx_shm_zone_t *zone,
    ngx_http_pulse_auth_entry_t *entry);
static void *ngx_http_pulse_auth_zone_alloc(ngx_shm_zone_t *zone,
    size_t size, ngx_uint_t most);
static ngx_http_pulse_auth_revocation_t *ngx_http_pulse_auth_revocation(
    ngx_http_pulse_auth_shctx_t *sh, ngx_uint_t kind, const u_char *id);
static ngx_int_t ngx_http_pulse_auth_zone_check_locked(
    ngx_http_pulse_auth_shctx_t *sh,
    ngx_http_pulse_auth_identity_t *identity);
static void ngx_http_pulse_auth_zone_sweep(ngx_shm_zone_t *zone);


#define ngx_http_pulse_auth_zone_pool(zone)                                   \
    ((ngx_slab_pool_t *) (zone)->shm.addr)


ngx_int_t
ngx_http_pulse_auth_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_shctx_t  *sh;

    if (data != NULL) {

        /* reload: what is known stays known */

        zone->data = data;
        return NGX_OK;
    }

    shpool = ngx_http_pulse_auth_zone_pool(zone);

    sh = ngx_slab_calloc(shpool, sizeof(ngx_http_pulse_auth_shctx_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&sh->entries, &sh->entries_sentinel,
                    ngx_http_pulse_auth_entry_insert);
    ngx_rbtree_init(&sh->revocations, &sh->revocations_sentinel,
                    ngx_http_pulse_auth_revocation_insert);

    ngx_queue_init(&sh->good);
    ngx_queue_init(&sh->bad);
    ngx_queue_init(&sh->revoked);

    sh->snapshot[0] = '0';

    /* a full zone is its usual state */

    shpool->log_nomem = 0;

    zone->data = sh;

    return NGX_OK;
}


static void
ngx_http_pulse_auth_entry_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t            **p;
    ngx_http_pulse_auth_entry_t   *one, *two;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            one = (ngx_http_pulse_auth_entry_t *) node;
            two = (ngx_http_pulse_auth_entry_t *) temp;

            p = (ngx_memcmp(one->hash, two->hash,
                            NGX_HTTP_PULSE_AUTH_HASH_LEN)
                 < 0)
                ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static void
ngx_http_pulse_auth_revocation_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t                 **p;
    ngx_http_pulse_auth_revocation_t   *one, *two;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            one = (ngx_http_pulse_auth_revocation_t *) node;
            two = (ngx_http_pulse_auth_revocation_t *) temp;

            p = (ngx_memcmp(one->id, two->id, NGX_HTTP_PULSE_UUID_LEN) < 0)
                ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


/* SHA-256 of what only the server knows in full: its start is key enough. */

static ngx_rbtree_key_t
ngx_http_pulse_auth_entry_key(const u_char *hash)
{
    ngx_rbtree_key_t  key;

    ngx_memcpy(&key, hash, sizeof(key));

    return key;
}


ngx_int_t
ngx_http_pulse_auth_zone_find(ngx_shm_zone_t *zone, const u_char *hash,
    ngx_http_pulse_auth_identity_t *identity)
{
    ngx_int_t                     rc;
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_entry_t  *entry;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);
    rc = NGX_AGAIN;

    ngx_shmtx_lock(&shpool->mutex);

    entry = ngx_http_pulse_auth_entry(sh, hash);

    if (entry != NULL) {
        *identity = entry->identity;

        if (identity->kind == NGX_HTTP_PULSE_AUTH_NONE) {
            rc = NGX_DECLINED;

        } else {
            ngx_queue_remove(&entry->queue);
            ngx_queue_insert_head(&sh->good, &entry->queue);

            rc = ngx_http_pulse_auth_zone_check_locked(sh, identity);
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


/* What has expired is found no more; it goes when its turn comes. */

static ngx_http_pulse_auth_entry_t *
ngx_http_pulse_auth_entry(ngx_http_pulse_auth_shctx_t *sh, const u_char *hash)
{
    ngx_http_pulse_auth_entry_t  *entry;

    entry = ngx_http_pulse_auth_entry_any(sh, hash);

    if (entry != NULL && entry->identity.expires <= ngx_pulse_now()) {
        return NULL;
    }

    return entry;
}


static ngx_http_pulse_auth_entry_t *
ngx_http_pulse_auth_entry_any(ngx_http_pulse_auth_shctx_t *sh,
    const u_char *hash)
{
    ngx_int_t                     rc;
    ngx_rbtree_key_t              key;
    ngx_rbtree_node_t            *node, *sentinel;
    ngx_http_pulse_auth_entry_t  *entry;

    key = ngx_http_pulse_auth_entry_key(hash);
    node = sh->entries.root;
    sentinel = sh->entries.sentinel;

    while (node != sentinel) {

        if (key != node->key) {
            node = (key < node->key) ? node->left : node->right;
            continue;
        }

        entry = (ngx_http_pulse_auth_entry_t *) node;

        rc = ngx_memcmp(hash, entry->hash, NGX_HTTP_PULSE_AUTH_HASH_LEN);

        if (rc == 0) {
            return entry;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


void
ngx_http_pulse_auth_zone_store(ngx_shm_zone_t *zone, const u_char *hash,
    ngx_http_pulse_auth_identity_t *identity)
{
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_entry_t  *entry;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    entry = ngx_http_pulse_auth_entry_make(zone, hash, &sh->good);

    if (entry != NULL) {
        entry->identity = *identity;
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_http_pulse_auth_zone_store_bad(ngx_shm_zone_t *zone, const u_char *hash)
{
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_entry_t  *entry;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    entry = ngx_http_pulse_auth_entry_make(zone, hash, &sh->bad);

    if (entry != NULL) {
        entry->identity.expires = ngx_pulse_now()
                                  + NGX_HTTP_PULSE_AUTH_BAD_TIME;
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_http_pulse_auth_zone_failed(ngx_shm_zone_t *zone, const u_char *hash)
{
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_entry_t  *entry;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    entry = ngx_http_pulse_auth_entry(sh, hash);

    if (entry == NULL) {
        entry = ngx_http_pulse_auth_entry_make(zone, hash, &sh->bad);

        if (entry != NULL) {
            entry->identity.expires = ngx_pulse_now()
                                      + NGX_HTTP_PULSE_AUTH_BAD_TIME;
        }
    }

    if (entry != NULL) {
        entry->failures++;
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_uint_t
ngx_http_pulse_auth_zone_failures(ngx_shm_zone_t *zone, const u_char *hash,
    int64_t *expires)
{
    ngx_uint_t                    failures;
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_entry_t  *entry;

    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    entry = ngx_http_pulse_auth_entry(zone->data, hash);
    failures = (entry != NULL) ? entry->failures : 0;
    *expires = (entry != NULL) ? entry->identity.expires : 0;

    ngx_shmtx_unlock(&shpool->mutex);

    return failures;
}


/* An empty entry with this hash, an older one replaced; NULL if no room can
 * be made.  Called with the lock held, as all below. */

static ngx_http_pulse_auth_entry_t *
ngx_http_pulse_auth_entry_make(ngx_shm_zone_t *zone, const u_char *hash,
    ngx_queue_t *queue)
{
    ngx_uint_t                    most;
    ngx_http_pulse_auth_entry_t  *entry;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    most = zone->shm.size / NGX_HTTP_PULSE_AUTH_BAD_SHARE;

    entry = ngx_http_pulse_auth_entry_any(sh, hash);

    if (entry != NULL) {
        ngx_http_pulse_auth_entry_free(zone, entry);
    }

    if (queue == &sh->bad && sh->nbad >= most) {
        entry = ngx_queue_data(ngx_queue_last(&sh->bad),
                               ngx_http_pulse_auth_entry_t, queue);
        ngx_http_pulse_auth_entry_free(zone, entry);
    }

    entry = ngx_http_pulse_auth_zone_alloc(zone,
                                         sizeof(ngx_http_pulse_auth_entry_t),
                                         NGX_HTTP_PULSE_AUTH_EVICT);
    if (entry == NULL) {
        return NULL;
    }

    ngx_memzero(entry, sizeof(ngx_http_pulse_auth_entry_t));
    ngx_memcpy(entry->hash, hash, NGX_HTTP_PULSE_AUTH_HASH_LEN);

    entry->node.key = ngx_http_pulse_auth_entry_key(hash);

    ngx_rbtree_insert(&sh->entries, &entry->node);
    ngx_queue_insert_head(queue, &entry->queue);

    entry->bad = (queue == &sh->bad);
    sh->nbad += entry->bad;

    return entry;
}


static void
ngx_http_pulse_auth_entry_free(ngx_shm_zone_t *zone,
    ngx_http_pulse_auth_entry_t *entry)
{
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    sh->nbad -= entry->bad;

    ngx_queue_remove(&entry->queue);
    ngx_rbtree_delete(&sh->entries, &entry->node);
    ngx_slab_free_locked(ngx_http_pulse_auth_zone_pool(zone), entry);
}


/* The slab allocator gives pages to one size each, so one entry less is not
 * always room for one of another size. */

static void *
ngx_http_pulse_auth_zone_alloc(ngx_shm_zone_t *zone, size_t size,
    ngx_uint_t most)
{
    void                         *p;
    ngx_uint_t                    n;
    ngx_queue_t                  *queue;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;

    for (n = 0; /* void */ ; n++) {
        p = ngx_slab_alloc_locked(ngx_http_pulse_auth_zone_pool(zone), size);

        if (p != NULL || n == most) {
            return p;
        }

        queue = !ngx_queue_empty(&sh->good) ? &sh->good : &sh->bad;

        if (ngx_queue_empty(queue)) {
            return NULL;
        }

        ngx_http_pulse_auth_entry_free(zone,
                                     ngx_queue_data(ngx_queue_last(queue),
                                                  ngx_http_pulse_auth_entry_t,
                                                  queue));
    }
}


ngx_int_t
ngx_http_pulse_auth_zone_check(ngx_shm_zone_t *zone,
    ngx_http_pulse_auth_identity_t *identity)
{
    ngx_int_t         rc;
    ngx_slab_pool_t  *shpool;

    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    rc = ngx_http_pulse_auth_zone_check_locked(zone->data, identity);

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


static ngx_int_t
ngx_http_pulse_auth_zone_check_locked(ngx_http_pulse_auth_shctx_t *sh,
    ngx_http_pulse_auth_identity_t *identity)
{
    ngx_http_pulse_auth_revocation_t  *user;

    if (identity->kind != NGX_HTTP_PULSE_AUTH_IDENTITY
        && ngx_http_pulse_auth_revocation(sh, identity->kind, identity->id)
           != NULL)
    {
        return NGX_DECLINED;
    }

    if (!sh->loaded || sh->overflow) {
        return NGX_AGAIN;
    }

    if (!identity->has_user) {
        return NGX_OK;
    }

    user = ngx_http_pulse_auth_revocation(sh, NGX_HTTP_PULSE_AUTH_USER,
                                          identity->user);
    if (user == NULL) {
        return NGX_OK;
    }

    /*
     * A user may come back: what began later is good again.  The store's
     * answer about a key may be of a moment before the other transaction
     * was seen, so it is not believed until well after it.
     */

    if (identity->kind == NGX_HTTP_PULSE_AUTH_SESSION) {
        return (identity->since <= user->time) ? NGX_DECLINED : NGX_OK;
    }

    return (identity->since <= user->time + NGX_HTTP_PULSE_AUTH_MARGIN)
           ? NGX_AGAIN : NGX_OK;
}


static ngx_http_pulse_auth_revocation_t *
ngx_http_pulse_auth_revocation(ngx_http_pulse_auth_shctx_t *sh,
    ngx_uint_t kind, const u_char *id)
{
    ngx_int_t                          rc;
    ngx_rbtree_key_t                   key;
    ngx_rbtree_node_t                 *node, *sentinel;
    ngx_http_pulse_auth_revocation_t  *revocation;

    key = ngx_crc32_short((u_char *) id, NGX_HTTP_PULSE_UUID_LEN) + kind;
    node = sh->revocations.root;
    sentinel = sh->revocations.sentinel;

    while (node != sentinel) {

        if (key != node->key) {
            node = (key < node->key) ? node->left : node->right;
            continue;
        }

        revocation = (ngx_http_pulse_auth_revocation_t *) node;

        rc = ngx_memcmp(id, revocation->id, NGX_HTTP_PULSE_UUID_LEN);

        if (rc == 0 && revocation->kind == kind) {
            return revocation;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


void
ngx_http_pulse_auth_zone_revoke(ngx_shm_zone_t *zone, ngx_uint_t kind,
    const u_char *id, int64_t time, int64_t expires)
{
    ngx_slab_pool_t                   *shpool;
    ngx_http_pulse_auth_shctx_t       *sh;
    ngx_http_pulse_auth_revocation_t  *revocation;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    revocation = ngx_http_pulse_auth_revocation(sh, kind, id);

    if (revocation == NULL) {
        revocation = ngx_http_pulse_auth_zone_alloc(zone,
                                    sizeof(ngx_http_pulse_auth_revocation_t),
                                    NGX_HTTP_PULSE_AUTH_EVICT_ALL);
        if (revocation == NULL) {
            sh->overflow = 1;
            sh->failed = 1;
            goto done;
        }

        ngx_memzero(revocation, sizeof(ngx_http_pulse_auth_revocation_t));
        ngx_memcpy(revocation->id, id, NGX_HTTP_PULSE_UUID_LEN);

        revocation->kind = kind;
        revocation->node.key = ngx_crc32_short((u_char *) id,
                                               NGX_HTTP_PULSE_UUID_LEN)
                               + kind;

        ngx_rbtree_insert(&sh->revocations, &revocation->node);
        ngx_queue_insert_tail(&sh->revoked, &revocation->queue);

        sh->nrevoked++;
    }

    revocation->time = ngx_max(revocation->time, time);
    revocation->expires = ngx_max(revocation->expires, expires);

done:

    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_http_pulse_auth_zone_snapshot(ngx_shm_zone_t *zone, u_char *text)
{
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    if (sh->overflow
        && (ngx_msec_int_t) (ngx_current_msec - sh->began)
           > NGX_HTTP_PULSE_AUTH_AGAIN)
    {
        ngx_memcpy(sh->snapshot, "0", sizeof("0"));
    }

    sh->failed = 0;
    sh->whole = (ngx_strcmp(sh->snapshot, "0") == 0);

    if (sh->whole) {
        sh->began = ngx_current_msec;
    }

    ngx_memcpy(text, sh->snapshot, NGX_HTTP_PULSE_AUTH_SNAPSHOT);

    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_uint_t
ngx_http_pulse_auth_zone_loaded(ngx_shm_zone_t *zone,
    const ngx_str_t *snapshot, ngx_uint_t *overflow)
{
    size_t                        len;
    ngx_uint_t                    n;
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    if (snapshot->len < NGX_HTTP_PULSE_AUTH_SNAPSHOT) {
        len = ngx_strlen(sh->snapshot);

        if (snapshot->len < len
            || (snapshot->len == len
                && ngx_memcmp(snapshot->data, sh->snapshot, len) < 0))
        {
            /* time went back: it is another database, or a restored one */

            ngx_memcpy(sh->snapshot, "0", sizeof("0"));

        } else {
            ngx_memcpy(sh->snapshot, snapshot->data, snapshot->len);
            sh->snapshot[snapshot->len] = '\0';
        }

        sh->loaded = 1;
    }

    if (sh->whole && !sh->failed) {
        sh->overflow = 0;
    }

    ngx_http_pulse_auth_zone_sweep(zone);

    n = sh->nrevoked;
    *overflow = sh->overflow;

    ngx_shmtx_unlock(&shpool->mutex);

    return n;
}


/* A few at each poll: those still in force go to the end of the queue. */

static void
ngx_http_pulse_auth_zone_sweep(ngx_shm_zone_t *zone)
{
    int64_t                            now;
    ngx_uint_t                         n;
    ngx_queue_t                       *q;
    ngx_http_pulse_auth_shctx_t       *sh;
    ngx_http_pulse_auth_revocation_t  *revocation;

    sh = zone->data;
    now = ngx_pulse_now();
    n = ngx_min(sh->nrevoked, NGX_HTTP_PULSE_AUTH_SWEEP);

    while (n-- > 0) {
        q = ngx_queue_head(&sh->revoked);
        revocation = ngx_queue_data(q, ngx_http_pulse_auth_revocation_t,
                                    queue);
        ngx_queue_remove(q);

        if (revocation->expires > now) {
            ngx_queue_insert_tail(&sh->revoked, q);
            continue;
        }

        sh->nrevoked--;

        ngx_rbtree_delete(&sh->revocations, &revocation->node);
        ngx_slab_free_locked(ngx_http_pulse_auth_zone_pool(zone), revocation);
    }
}


/*
 * The first worker that comes owns the reading until it is silent or gone.
 * A worker that was killed is found out at the next tick of any other.
 */

ngx_uint_t
ngx_http_pulse_auth_zone_elect(ngx_shm_zone_t *zone)
{
    ngx_uint_t                    elected;
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    if (sh->owner != ngx_pid
        && (sh->owner == 0
            || (ngx_msec_int_t) (ngx_current_msec - sh->seen)
               > NGX_HTTP_PULSE_AUTH_SILENCE
            || (kill(sh->owner, 0) == -1 && ngx_errno == NGX_ESRCH)))
    {
        sh->owner = ngx_pid;
    }

    elected = (sh->owner == ngx_pid);

    if (elected) {
        sh->seen = ngx_current_msec;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return elected;
}


void
ngx_http_pulse_auth_zone_release(ngx_shm_zone_t *zone)
{
    ngx_slab_pool_t              *shpool;
    ngx_http_pulse_auth_shctx_t  *sh;

    sh = zone->data;
    shpool = ngx_http_pulse_auth_zone_pool(zone);

    ngx_shmtx_lock(&shpool->mutex);

    if (sh->owner == ngx_pid) {
        sh->owner = 0;
    }

    ngx_shmtx_unlock(&shpool->mutex);
}
