
#include "unit.h"
#include <stdarg.h>
#include <sys/stat.h>


#define UNIT_SHOWN  200


static void unit_failed(const char *file, int line, const char *text);
static void unit_print(const char *what, const void *p, size_t n);
static ngx_str_t unit_copy(const ngx_str_t *s);
static void *unit_allocate(size_t size, ngx_uint_t zero);


static ngx_uint_t  unit_passed;
static ngx_uint_t  unit_nfailed;
static ngx_uint_t  unit_allocations;
static char        unit_name[256];


void
unit_case(const char *fmt, ...)
{
    va_list  args;

    unit_name[0] = '\0';

    if (fmt != NULL) {
        va_start(args, fmt);
        (void) vsnprintf(unit_name, sizeof(unit_name), fmt, args);
        va_end(args);
    }
}


void
unit_check(int ok, const char *file, int line, const char *text)
{
    if (ok) {
        unit_passed++;
        return;
    }

    unit_failed(file, line, text);
}


void
unit_check_int(int64_t a, int64_t b, const char *file, int line,
    const char *text)
{
    if (a == b) {
        unit_passed++;
        return;
    }

    unit_failed(file, line, text);
    printf("#   got %lld, expected %lld\n", (long long) a, (long long) b);
}


void
unit_check_mem(const void *p, size_t n, const void *q, size_t m,
    const char *file, int line, const char *text)
{
    if (n == m && (n == 0 || memcmp(p, q, n) == 0)) {
        unit_passed++;
        return;
    }

    unit_failed(file, line, text);
    unit_print("got", p, n);
    unit_print("expected", q, m);
}


static void
unit_failed(const char *file, int line, const char *text)
{
    unit_nfailed++;

    printf("not ok %s:%d %s%s%s\n", file, line, text,
           unit_name[0] ? " # " : "", unit_name);
}


static void
unit_print(const char *what, const void *p, size_t n)
{
    size_t         i;
    const u_char  *s;

    s = p;

    printf("#   %s %zu bytes: ", what, n);

    for (i = 0; i < n && i < UNIT_SHOWN; i++) {

        if (s[i] >= ' ' && s[i] < 0x7f) {
            putchar(s[i]);

        } else {
            printf("\\x%02x", s[i]);
        }
    }

    putchar('\n');
}


int
unit_done(void)
{
    printf("%lu passed, %lu failed\n", (unsigned long) unit_passed,
           (unsigned long) unit_nfailed);

    /* a test that checked nothing has not passed */

    return unit_nfailed != 0 || unit_passed == 0;
}


ngx_int_t
unit_read_event(ngx_pulse_dialect_t *dialect, void *state,
    const ngx_pulse_sse_event_t *ev, ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_int_t    rc;
    ngx_str_t    name, data;
    ngx_pool_t  *pool;

    pool = unit_pool();

    name = unit_copy(&ev->name);
    data = unit_copy(&ev->data);

    rc = NGX_ERROR;

    if (pool != NULL && name.data != NULL && data.data != NULL) {
        rc = dialect->read_event(state, pool, &name, &data, handler, ctx);
    }

    free(name.data);
    free(data.data);

    if (pool != NULL) {
        ngx_destroy_pool(pool);
    }

    return rc;
}


/* a block without room for anything else, even if there is nothing in it */

static ngx_str_t
unit_copy(const ngx_str_t *s)
{
    ngx_str_t  copy;

    copy.data = malloc(s->len ? s->len : 1);
    copy.len = s->len;

    if (copy.data != NULL && s->len) {
        memcpy(copy.data, s->data, s->len);
    }

    return copy;
}


ngx_str_t
unit_file(const char *name)
{
    FILE         *f;
    ngx_str_t     s;
    struct stat   st;

    ngx_str_null(&s);

    f = fopen(name, "rb");
    if (f == NULL) {
        return s;
    }

    if (fstat(fileno(f), &st) == 0) {
        s.data = malloc(st.st_size + 1);

        if (s.data != NULL) {
            s.len = fread(s.data, 1, st.st_size, f);
            s.data[s.len] = '\0';
        }
    }

    fclose(f);

    return s;
}


const char *
unit_shared(void)
{
    const char   *dir;
    struct stat   st;

    dir = getenv("PULSE_SHARED");

    if (dir == NULL) {
        dir = "../shared";
    }

    if (stat(dir, &st) != 0) {
        printf("# skipped: no recordings in %s (PULSE_SHARED)\n", dir);
        return NULL;
    }

    return dir;
}


/* what the pure sources call of nginx */

void
unit_fail_allocation(ngx_uint_t n)
{
    unit_allocations = n;
}


static void *
unit_allocate(size_t size, ngx_uint_t zero)
{
    if (unit_allocations && --unit_allocations == 0) {
        unit_allocations = 1;
        return NULL;
    }

    return zero ? calloc(1, size ? size : 1) : malloc(size ? size : 1);
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return unit_allocate(size, 0);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return unit_allocate(size, 1);
}


ngx_pool_t *
unit_pool(void)
{
    return ngx_create_pool(NGX_MIN_POOL_SIZE, NULL);
}


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    return unit_allocate(sizeof(ngx_pool_t), 1);
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_pool_large_t    *l, *next;
    ngx_pool_cleanup_t  *c;

    for (c = pool->cleanup; c != NULL; c = c->next) {
        if (c->handler) {
            c->handler(c->data);
        }
    }

    for (l = pool->large; l != NULL; l = next) {
        next = l->next;
        free(l->alloc);
        free(l);
    }

    free(pool);
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    void              *p;
    ngx_pool_large_t  *l;

    p = unit_allocate(size, 0);
    if (p == NULL) {
        return NULL;
    }

    l = malloc(sizeof(ngx_pool_large_t));
    if (l == NULL) {
        free(p);
        return NULL;
    }

    l->alloc = p;
    l->next = pool->large;
    pool->large = l;

    return p;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    if (p != NULL) {
        ngx_memzero(p, size);
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
