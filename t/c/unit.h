
#ifndef _PULSE_UNIT_H_INCLUDED_
#define _PULSE_UNIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_conversation.h"
#include "ngx_pulse_sse.h"


/*
 * A unit test is a program t/c/NAME_test.c: functions full of checks, called
 * from main(), which ends with "return unit_done();".  It is linked with
 * whatever of the pure sources it uses, and with unit.c in the place of
 * nginx.
 */

#define check(cond)                                                           \
    unit_check(!!(cond), __FILE__, __LINE__, #cond)

/* Two numbers; two byte strings; an ngx_str_t, or a C string, and a literal */

#define check_int(a, b)                                                       \
    unit_check_int((int64_t) (a), (int64_t) (b), __FILE__, __LINE__, #a)

#define check_mem(p, n, q, m)                                                 \
    unit_check_mem(p, n, q, m, __FILE__, __LINE__, #p)

#define check_str(s, literal)                                                 \
    unit_check_mem((s)->data, (s)->len, literal, sizeof(literal) - 1,         \
                   __FILE__, __LINE__, #s)

#define check_text(p, literal)                                                \
    unit_check_mem(p, strlen(p), literal, sizeof(literal) - 1, __FILE__,      \
                   __LINE__, #p)


/* Said with each failed check that follows, as the name of a case; NULL:
 * none. */
void unit_case(const char *fmt, ...);

/* A pool whose blocks come from the heap one by one, so that a sanitizer
 * sees where each ends. */
ngx_pool_t *unit_pool(void);

/* The n-th allocation of nginx's from now on fails, and all after it; 0:
 * none fails. */
void unit_fail_allocation(ngx_uint_t n);

/* Has a provider's event read as the gateway does: its bytes and its pool are
 * gone when this returns, so that a sanitizer sees what still points there. */
ngx_int_t unit_read_event(ngx_pulse_dialect_t *dialect, void *state,
    const ngx_pulse_sse_event_t *ev, ngx_pulse_answer_pt handler, void *ctx);

/* A file into the heap, NUL terminated; data NULL if there is none. */
ngx_str_t unit_file(const char *name);

/* The directory of recordings and vectors, or NULL with a message. */
const char *unit_shared(void);

/* Prints the totals; the status of the program. */
int unit_done(void);


void unit_check(int ok, const char *file, int line, const char *text);
void unit_check_int(int64_t a, int64_t b, const char *file, int line,
    const char *text);
void unit_check_mem(const void *p, size_t n, const void *q, size_t m,
    const char *file, int line, const char *text);


#endif /* _PULSE_UNIT_H_INCLUDED_ */
