
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "pulse_pacer.h"


typedef struct {
    struct MHD_Connection  **waiting;
    size_t                   n;
    size_t                   size;
    int                      stopping;
    unsigned                 tick;
    pthread_t                thread;
    pthread_cond_t           wake;
    pthread_mutex_t          lock;
} pulse_pacer_t;


static void *pulse_pacer_run(void *arg);
static void pulse_pacer_resume(pulse_pacer_t *p);


static pulse_pacer_t  pulse_pacer = {
    .wake = PTHREAD_COND_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER
};


int
pulse_pacer_start(unsigned tick)
{
    pulse_pacer.tick = tick;

    return pthread_create(&pulse_pacer.thread, NULL, pulse_pacer_run,
                          &pulse_pacer);
}


void
pulse_pacer_wait(struct MHD_Connection *connection)
{
    size_t                   size;
    pulse_pacer_t           *p;
    struct MHD_Connection  **waiting;

    p = &pulse_pacer;

    pthread_mutex_lock(&p->lock);

    if (p->stopping) {
        goto done;
    }

    if (p->n == p->size) {
        size = p->size ? p->size * 2 : 64;

        waiting = realloc(p->waiting, size * sizeof(*waiting));
        if (waiting == NULL) {
            goto done;                  /* its reader is just called again */
        }

        p->waiting = waiting;
        p->size = size;
    }

    /* under the lock: it must not be woken before it sleeps */

    MHD_suspend_connection(connection);

    p->waiting[p->n++] = connection;

    if (p->n == 1) {
        pthread_cond_signal(&p->wake);
    }

done:

    pthread_mutex_unlock(&p->lock);
}


int
pulse_pacer_stopping(void)
{
    int  stopping;

    pthread_mutex_lock(&pulse_pacer.lock);
    stopping = pulse_pacer.stopping;
    pthread_mutex_unlock(&pulse_pacer.lock);

    return stopping;
}


void
pulse_pacer_stop(void)
{
    pthread_mutex_lock(&pulse_pacer.lock);
    pulse_pacer.stopping = 1;
    pthread_cond_signal(&pulse_pacer.wake);
    pthread_mutex_unlock(&pulse_pacer.lock);

    pthread_join(pulse_pacer.thread, NULL);

    free(pulse_pacer.waiting);
}


static void *
pulse_pacer_run(void *arg)
{
    pulse_pacer_t    *p;
    struct timespec   tick;

    p = arg;

    tick.tv_sec = p->tick / 1000;
    tick.tv_nsec = p->tick % 1000 * 1000000L;

    pthread_mutex_lock(&p->lock);

    while (!p->stopping) {

        if (p->n == 0) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }

        pthread_mutex_unlock(&p->lock);
        nanosleep(&tick, NULL);
        pthread_mutex_lock(&p->lock);

        pulse_pacer_resume(p);
    }

    pulse_pacer_resume(p);

    pthread_mutex_unlock(&p->lock);

    return NULL;
}


static void
pulse_pacer_resume(pulse_pacer_t *p)
{
    while (p->n) {
        MHD_resume_connection(p->waiting[--p->n]);
    }
}
