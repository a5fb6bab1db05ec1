
#ifndef _PULSE_LOG_H_INCLUDED_
#define _PULSE_LOG_H_INCLUDED_


#include <pthread.h>
#include <time.h>


#define PULSE_LOG_ERR     3         /* the numbers of syslog(3) */
#define PULSE_LOG_WARN    4
#define PULSE_LOG_NOTICE  5
#define PULSE_LOG_INFO    6


/*
 * One line on standard error, written at once so that threads do not mix.
 * Under systemd it begins with "<level>", elsewhere with time and name of
 * the level.  Control characters become spaces: a value cannot forge a line.
 */
void pulse_log(int level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


/* What anybody can have happen has a line a minute. */

typedef struct {
    pthread_mutex_t  mutex;
    time_t           until;
    unsigned         n;
} pulse_log_often_t;

#define PULSE_LOG_OFTEN  { .mutex = PTHREAD_MUTEX_INITIALIZER }


/* It has happened once more: how often since the last line, if there is to be
 * one now, else 0. */
unsigned pulse_log_often(pulse_log_often_t *often);


#endif /* _PULSE_LOG_H_INCLUDED_ */
