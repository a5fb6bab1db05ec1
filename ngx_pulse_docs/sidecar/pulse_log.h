
#ifndef _PULSE_LOG_H_INCLUDED_
#define _PULSE_LOG_H_INCLUDED_


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


#endif /* _PULSE_LOG_H_INCLUDED_ */
