
#include <ngx_config.h>
#include <ngx_core.h>


/*
 * nginx's pool for programs that are no nginx: Debian ships its headers but
 * no objects, and the pure files of ngx_pulse_core allocate from a pool.
 * Small blocks are cut from chunks, large ones come from the heap; all of it
 * goes back at once.
 */


#define PULSE_POOL_MIN  (sizeof(ngx_pool_t) + 2 * sizeof(ngx_pool_large_t))


static void *pulse_pool_small(ngx_pool_t *pool, size_t size, size_t align);
static void *pulse_pool_large(ngx_pool_t *pool, size_t size);


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    if (size < PULSE_POOL_MIN) {
        size = PULSE_POOL_MIN;
    }

    pool = malloc(size);
    if (pool == NULL) {
        return NULL;
    }

    memset(pool, 0, sizeof(ngx_pool_t));

    pool->d.last = (u_char *) pool + sizeof(ngx_pool_t);
    pool->d.end = (u_char *) pool + size;
    pool->max = size - sizeof(ngx_pool_t);
    pool->current = pool;
    pool->log = log;

    return pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_pool_t          *next;
    ngx_pool_large_t    *large;
    ngx_pool_cleanup_t  *c;

    for (c = pool->cleanup; c; c = c->next) {
        if (c->handler) {
            c->handler(c->data);
        }
    }

    /* the list's own links are in the chunks, so these go first */

    for (large = pool->large; large; large = large->next) {
        free(large->alloc);
    }

    for ( /* void */ ; pool; pool = next) {
        next = pool->d.next;
        free(pool);
    }
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    if (size > pool->max) {
        return pulse_pool_large(pool, size);
    }

    return pulse_pool_small(pool, size, NGX_ALIGNMENT);
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    if (size > pool->max) {
        return pulse_pool_large(pool, size);
    }

    return pulse_pool_small(pool, size, 1);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    if (p) {
        memset(p, 0, size);
    }

    return p;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *c;

    c = ngx_pcalloc(pool, sizeof(ngx_pool_cleanup_t));
    if (c == NULL) {
        return NULL;
    }

    if (size) {
        c->data = ngx_palloc(pool, size);
        if (c->data == NULL) {
            return NULL;
        }
    }

    c->next = pool->cleanup;
    pool->cleanup = c;

    return c;
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return calloc(1, size);
}


static void *
pulse_pool_small(ngx_pool_t *pool, size_t size, size_t align)
{
    u_char      *m;
    ngx_pool_t  *chunk;

    chunk = pool->current;
    m = ngx_align_ptr(chunk->d.last, align);

    if (m > chunk->d.end || (size_t) (chunk->d.end - m) < size) {

        chunk = ngx_create_pool(pool->max + sizeof(ngx_pool_t), pool->log);
        if (chunk == NULL) {
            return NULL;
        }

        pool->current->d.next = chunk;
        pool->current = chunk;

        m = ngx_align_ptr(chunk->d.last, align);
    }

    chunk->d.last = m + size;

    return m;
}


static void *
pulse_pool_large(ngx_pool_t *pool, size_t size)
{
    ngx_pool_large_t  *large;

    large = pulse_pool_small(pool, sizeof(ngx_pool_large_t), NGX_ALIGNMENT);
    if (large == NULL) {
        return NULL;
    }

    large->alloc = malloc(size);
    if (large->alloc == NULL) {
        return NULL;
    }

    large->next = pool->large;
    pool->large = large;

    return large->alloc;
}
