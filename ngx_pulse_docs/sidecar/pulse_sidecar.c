
#include <getopt.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include "pulse_chat.h"
#include "pulse_demo.h"
#include "pulse_documents.h"
#include "pulse_files.h"
#include "pulse_http.h"
#include "pulse_log.h"
#include "pulse_pacer.h"
#include "pulse_upkeep.h"
#include "pulse_summary.h"
#include "pulse_uploads.h"
#include "pulse_work.h"
#include "pulse_worker.h"


#define PULSE_SIDECAR_THREADS  4
#define PULSE_SIDECAR_PLAIN    4        /* routes that need no files */


typedef struct {
    const char          *listen;
    const char          *files;             /* NULL: no documents */
    const char          *files_key;
    const char          *clamd;
    const char          *studio;            /* NULL: no chat model */
    pulse_work_conf_t    work;
} pulse_sidecar_conf_t;


static int pulse_sidecar_options(int argc, char **argv,
    pulse_sidecar_conf_t *conf);
static int pulse_sidecar_run(pulse_sidecar_conf_t *conf, sigset_t *signals);
static int pulse_sidecar_documents(pulse_sidecar_conf_t *conf);
static enum MHD_Result pulse_sidecar_health(pulse_http_request_t *r);


static pulse_http_route_t  pulse_sidecar_routes[] = {
    { "GET", "/health", pulse_sidecar_health, 0, 0 },
    { "GET", "/demo/v1/models", pulse_demo_models, 0, 0 },
    { "POST", "/demo/v1/chat/completions", pulse_demo_chat, 0, 0 },
    { "POST", "/demo/v1/embeddings", pulse_demo_embeddings, 0, 0 },
    { "POST", "/v1/cv/generate", pulse_documents_cv, 1, 1 },
    { "POST", "/v1/slides/generate", pulse_documents_slides, 1, 1 },
    { "POST", "/v1/pdf/summarize", pulse_summary_pdf, 1, 1 },
    { "POST", "/v1/files/presigned-upload", pulse_uploads_announce, 1, 0 },
    { "GET", "/v1/files", pulse_files_list, 1, 0 },
    { "GET", "/v1/files/{id}", pulse_files_get, 1, 0 },
    { "GET", "/v1/files/{id}/signed-url", pulse_files_signed_url, 1, 0 },
    { "POST", "/v1/files/{id}/complete", pulse_uploads_complete, 1, 0 },
    { "DELETE", "/v1/files/{id}", pulse_files_delete, 1, 0 },
    { NULL, NULL, NULL, 0, 0 }
};


static const char  pulse_sidecar_usage[] =
    "usage: pulse-sidecar --listen SOCKET [--database INFO]\n"
    "                     [--mail-dir DIR] [--mail-templates DIR]\n"
    "                     [--mail-from ADDRESS] [--lease-ttl INTERVAL]\n"
    "                     [--files DIR] [--files-key FILE]\n"
    "                     [--files-keep INTERVAL] [--files-room SIZE]\n"
    "                     [--clamd SOCKET] [--studio SOCKET]\n"
    "\n"
    "  --listen          unix socket to make and serve on\n"
    "  --database        libpq keywords or URI; else $PULSE_DATABASE\n"
    "  --mail-dir        development: mail goes there as .eml files, and\n"
    "                    sign-in links are logged\n"
    "  --mail-templates  directory with ar/ and en/, conf/mail by default\n"
    "  --mail-from       sender of the mail\n"
    "  --lease-ttl       after which a silent node's leases are taken back\n"
    "  --files           where people's files are kept; without it there are\n"
    "                    no documents\n"
    "  --files-key       key of links, made if there is none, DIR.key by\n"
    "                    default\n"
    "  --files-keep      after which files are removed, 30 days by default\n"
    "  --files-room      how much one person may keep, 1g by default\n"
    "  --clamd           unix socket of a scanner that looks at uploads\n"
    "  --studio          unix socket of nginx, whose chat model writes\n"
    "                    outlines and summaries\n";


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

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: libcurl does not start");
        return 1;
    }

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
        { "files", required_argument, NULL, 'F' },
        { "files-key", required_argument, NULL, 'K' },
        { "files-keep", required_argument, NULL, 'k' },
        { "files-room", required_argument, NULL, 'r' },
        { "clamd", required_argument, NULL, 'c' },
        { "studio", required_argument, NULL, 's' },
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

        case 'F':
            conf->files = optarg;
            break;

        case 'K':
            conf->files_key = optarg;
            break;

        case 'c':
            conf->clamd = optarg;
            break;

        case 's':
            conf->studio = optarg;
            break;

        case 'k':
            pulse_files_keep(optarg);
            break;

        case 'r':
            if (pulse_files_set_room(optarg) != NGX_OK) {
                return -1;
            }

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

    if (pulse_sidecar_documents(conf) != 0) {
        return 1;
    }

    rc = pulse_pacer_start(PULSE_DEMO_TICK);

    if (rc == 0) {
        rc = pulse_worker_start(conf->work.conninfo);
    }

    if (rc == 0) {
        rc = pulse_chat_start(conf->studio);
    }

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

    pulse_jobs_add(pulse_upkeep_kinds);

    rc = pulse_jobs_start(conf->work.conninfo);

    if (rc == 0) {
        rc = pulse_work_start(&conf->work);
    }

    if (rc != 0) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: cannot start a thread: %s",
                  strerror(rc));
        pulse_http_stop(daemon, conf->listen);
        return 1;
    }

    pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: ready on \"%s\"",
              conf->listen);

    if (conf->files == NULL) {
        pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: there are no documents:"
                  " there is no --files");
    }

    (void) sigwait(signals, &signo);

    pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: stopping on signal %d", signo);

    pulse_http_stop(daemon, conf->listen);
    pulse_work_stop();
    pulse_jobs_stop();
    pulse_documents_done();
    pulse_uploads_done();

    return 0;
}


static int
pulse_sidecar_documents(pulse_sidecar_conf_t *conf)
{
    char         name[NGX_MAX_PATH];
    const char  *key;

    if (conf->files == NULL) {
        pulse_sidecar_routes[PULSE_SIDECAR_PLAIN].path = NULL;
        return 0;
    }

    key = conf->files_key;

    if (key == NULL) {
        snprintf(name, sizeof(name), "%s.key", conf->files);
        key = name;
    }

    if (pulse_shelf_open(conf->files, key) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: files cannot be kept in"
                  " \"%s\" with the key \"%s\": %s", conf->files, key,
                  strerror(errno));
        return -1;
    }

    if (pulse_documents_init() != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: no memory for documents");
        return -1;
    }

    if (pulse_uploads_init(conf->clamd) != NGX_OK) {
        return -1;
    }

    pulse_jobs_add(pulse_upkeep_files_kinds);

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
