
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "pulse_log.h"


#define PULSE_LOG_LINE   2048
#define PULSE_LOG_QUIET  60             /* s */


static int pulse_log_prefix(char *line, size_t size, int level);


static const char  *pulse_log_levels[] = {
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"
};


void
pulse_log(int level, const char *fmt, ...)
{
    int      n, len;
    char     line[PULSE_LOG_LINE];
    va_list  args;

    len = pulse_log_prefix(line, sizeof(line), level);

    va_start(args, fmt);
    n = vsnprintf(line + len, sizeof(line) - len, fmt, args);
    va_end(args);

    if (n < 0) {
        return;
    }

    n += len;

    if (n > PULSE_LOG_LINE - 1) {
        n = PULSE_LOG_LINE - 1;
    }

    for ( /* void */ ; len < n; len++) {
        if ((unsigned char) line[len] < 0x20 || line[len] == 0x7f) {
            line[len] = ' ';
        }
    }

    line[n++] = '\n';

    if (write(STDERR_FILENO, line, n) == -1) {
        return;                         /* there is nowhere left to say it */
    }
}


static int
pulse_log_prefix(char *line, size_t size, int level)
{
    char             stamp[32];
    struct tm        tm;
    struct timespec  now;

    if (getenv("JOURNAL_STREAM") != NULL) {
        return snprintf(line, size, "<%d>", level);
    }

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);

    return snprintf(line, size, "%s.%03ldZ [%s] ", stamp,
                    now.tv_nsec / 1000000, pulse_log_levels[level & 7]);
}


unsigned
pulse_log_often(pulse_log_often_t *often)
{
    time_t    now;
    unsigned  n;

    now = time(NULL);

    pthread_mutex_lock(&often->mutex);

    n = ++often->n;

    if (now < often->until) {
        n = 0;

    } else {
        often->until = now + PULSE_LOG_QUIET;
        often->n = 0;
    }

    pthread_mutex_unlock(&often->mutex);

    return n;
}
