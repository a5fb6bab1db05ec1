
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include "pulse_demo.h"
#include "pulse_http.h"
#include "pulse_log.h"
#include "pulse_pacer.h"
#include "pulse_work.h"


#define PULSE_SIDECAR_THREADS  4


typedef struct {
    const char          *listen;
    pulse_work_conf_t    work;
} pulse_sidecar_conf_t;


static int pulse_sidecar_options(int argc, char **argv,
    pulse_sidecar_conf_t *conf);
static int pulse_sidecar_run(pulse_sidecar_conf_t *conf, sigset_t *signals);
static enum MHD_Result pulse_sidecar_health(pulse_http_request_t *r);


static pulse_http_route_t  pulse_sidecar_routes[] = {
    { "GET", "/health", pulse_sidecar_health },
    { "GET", "/demo/v1/models", pulse_demo_models },
    { "POST", "/demo/v1/chat/completions", pulse_demo_chat },
    { "POST", "/demo/v1/embeddings", pulse_demo_embeddings },
    { NULL, NULL, NULL }
};


static const char  pulse_sidecar_usage[] =
    "usage: pulse-sidecar --listen SOCKET [--database INFO]\n"
    "                     [--mail-dir DIR] [--mail-templates DIR]\n"
    "                     [--mail-from ADDRESS] [--lease-ttl INTERVAL]\n"
    "\n"
    "  --listen          unix socket to make and serve on\n"
    "  --database        libpq keywords or URI; else $PULSE_DATABASE\n"
    "  --mail-dir        development: mail goes there as .eml files, and\n"
    "                    sign-in links are logged\n"
    "  --mail-templates  directory with ar/ and en/, conf/mail by default\n"
    "  --mail-from       sender of the mail\n"
    "  --lease-ttl       after which a silent node's leases are taken back\n";


int
main(int argc, char **argv)
{
    int                   rc;
    sigset_t              signals;
    pulse_sidecar_conf_t  conf;

    memset(&conf, 0, sizeof(pulse_sidecar_conf_t));

    conf.work.conninfo = getenv("PULSE_DATABASE");
    conf.work.lease_ttl = "15 minutes";
    conf.work.outbox.templates = "conf/mail";
    conf.work.outbox.from = "no-reply@studio.example";

    if (pulse_sidecar_options(argc, argv, &conf) != 0) {
        fputs(pulse_sidecar_usage, stderr);
        return 2;
    }

    /* blocked before the first thread starts, so that none of them is
     * interrupted and this one takes all of them with sigwait() */

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);

    signal(SIGPIPE, SIG_IGN);

    rc = pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (rc != 0) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: %s", strerror(rc));
        return 1;
    }

    return pulse_sidecar_run(&conf, &signals);
}


static int
pulse_sidecar_options(int argc, char **argv, pulse_sidecar_conf_t *conf)
{
    int  option;

    static const struct option  options[] = {
        { "listen", required_argument, NULL, 'l' },
        { "database", required_argument, NULL, 'd' },
        { "mail-dir", required_argument, NULL, 'm' },
        { "mail-templates", required_argument, NULL, 't' },
        { "mail-from", required_argument, NULL, 'f' },
        { "lease-ttl", required_argument, NULL, 'e' },
        { NULL, 0, NULL, 0 }
    };

    for ( ;; ) {
        option = getopt_long(argc, argv, "", options, NULL);

        switch (option) {

        case 'l':
            conf->listen = optarg;
            break;

        case 'd':
            conf->work.conninfo = optarg;
            break;

        case 'm':
            conf->work.outbox.dir = optarg;
            break;

        case 't':
            conf->work.outbox.templates = optarg;
            break;

        case 'f':
            conf->work.outbox.from = optarg;
            break;

        case 'e':
            conf->work.lease_ttl = optarg;
            break;

        case -1:
            return (conf->listen && conf->work.conninfo && optind == argc
                    && strchr(conf->work.outbox.from, '@'))
                   ? 0 : -1;

        default:
            return -1;
        }
    }
}


static int
pulse_sidecar_run(pulse_sidecar_conf_t *conf, sigset_t *signals)
{
    int                 rc, signo;
    struct MHD_Daemon  *daemon;

    rc = pulse_pacer_start(PULSE_DEMO_TICK);
    if (rc != 0) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: cannot start a thread: %s",
                  strerror(rc));
        return 1;
    }

    daemon = pulse_http_start(conf->listen, PULSE_SIDECAR_THREADS,
                              pulse_sidecar_routes);
    if (daemon == NULL) {
        return 1;
    }

    rc = pulse_work_start(&conf->work);
    if (rc != 0) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: cannot start a thread: %s",
                  strerror(rc));
        pulse_http_stop(daemon, conf->listen);
        return 1;
    }

    pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: ready on \"%s\"",
              conf->listen);

    (void) sigwait(signals, &signo);

    pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: stopping on signal %d", signo);

    pulse_http_stop(daemon, conf->listen);
    pulse_work_stop();

    return 0;
}


static enum MHD_Result
pulse_sidecar_health(pulse_http_request_t *r)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"status\":\"ok\"}");

    return pulse_http_reply(r, MHD_HTTP_OK, &b);
}
