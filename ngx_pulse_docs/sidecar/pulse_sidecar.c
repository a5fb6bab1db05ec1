
#include <curl/curl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include "pulse_chat.h"
#include "pulse_demo.h"
#include "pulse_documents.h"
#include "pulse_edit.h"
#include "pulse_edits.h"
#include "pulse_file.h"
#include "pulse_files.h"
#include "pulse_http.h"
#include "pulse_image.h"
#include "pulse_log.h"
#include "pulse_media_conf.h"
#include "pulse_moderate.h"
#include "pulse_outbox.h"
#include "pulse_pacer.h"
#include "pulse_payments.h"
#include "pulse_routes.h"
#include "pulse_s3.h"
#include "pulse_upkeep.h"
#include "pulse_uploads.h"
#include "pulse_video_form.h"
#include "pulse_video_work.h"
#include "pulse_watch.h"
#include "pulse_work.h"
#include "pulse_worker.h"


#define PULSE_SIDECAR_THREADS  4
#define PULSE_SIDECAR_SECRET   4096     /* bytes of a file with one */


typedef struct {
    const char            *listen;
    const char            *files;           /* NULL: no documents */
    const char            *files_key;
    const char            *files_keep;
    const char            *files_room;
    const char            *clamd;
    const char            *edits;           /* limits of them, or NULL */
    const char            *studio;          /* NULL: no chat model */
    const char            *payments;        /* NULL: no payments */
    const char            *images_timeout;
    const char            *models;          /* NULL: no images, no videos */
    const char            *video_poll;
    const char            *s3_style;
    pulse_s3_conf_t        s3;              /* url NULL: files are on a disk */
    const char            *smtp_password;   /* a file */
    const char            *smtp_timeout;
    pulse_work_conf_t      work;
    pulse_outbox_t         outbox;
    pulse_moderate_conf_t  moderate;
} pulse_sidecar_conf_t;


static void pulse_sidecar_defaults(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_options(int argc, char **argv,
    pulse_sidecar_conf_t *conf);
static int pulse_sidecar_mail(pulse_sidecar_conf_t *conf);
static char *pulse_sidecar_secret(const char *file);
static int pulse_sidecar_run(pulse_sidecar_conf_t *conf, sigset_t *signals);
static int pulse_sidecar_configure(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_answers(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_works(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_started(int rc);
static void pulse_sidecar_ready(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_documents(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_storage(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_money(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_video(pulse_sidecar_conf_t *conf);
static int pulse_sidecar_images(pulse_sidecar_conf_t *conf);


/* what all options have is a text */

static const struct {
    const char          *name;
    size_t               offset;
} pulse_sidecar_texts[] = {
    { "listen", offsetof(pulse_sidecar_conf_t, listen) },
    { "database", offsetof(pulse_sidecar_conf_t, work.conninfo) },
    { "lease-ttl", offsetof(pulse_sidecar_conf_t, work.lease_ttl) },
    { "files", offsetof(pulse_sidecar_conf_t, files) },
    { "files-key", offsetof(pulse_sidecar_conf_t, files_key) },
    { "files-keep", offsetof(pulse_sidecar_conf_t, files_keep) },
    { "files-room", offsetof(pulse_sidecar_conf_t, files_room) },
    { "clamd", offsetof(pulse_sidecar_conf_t, clamd) },
    { "edits", offsetof(pulse_sidecar_conf_t, edits) },
    { "studio", offsetof(pulse_sidecar_conf_t, studio) },
    { "s3", offsetof(pulse_sidecar_conf_t, s3.url) },
    { "s3-region", offsetof(pulse_sidecar_conf_t, s3.region) },
    { "s3-style", offsetof(pulse_sidecar_conf_t, s3_style) },
    { "payments", offsetof(pulse_sidecar_conf_t, payments) },
    { "models", offsetof(pulse_sidecar_conf_t, models) },
    { "video-poll", offsetof(pulse_sidecar_conf_t, video_poll) },
    { "images-timeout", offsetof(pulse_sidecar_conf_t, images_timeout) },
    { "moderation", offsetof(pulse_sidecar_conf_t, moderate.rules) },
    { "moderation-key", offsetof(pulse_sidecar_conf_t, moderate.key) },
    { "moderation-timeout", offsetof(pulse_sidecar_conf_t, moderate.timeout) },
    { "mail-dir", offsetof(pulse_sidecar_conf_t, outbox.dir) },
    { "mail-templates", offsetof(pulse_sidecar_conf_t, outbox.templates) },
    { "mail-from", offsetof(pulse_sidecar_conf_t, outbox.from) },
    { "mail-name", offsetof(pulse_sidecar_conf_t, outbox.name) },
    { "smtp", offsetof(pulse_sidecar_conf_t, outbox.smtp.url) },
    { "smtp-user", offsetof(pulse_sidecar_conf_t, outbox.smtp.user) },
    { "smtp-password", offsetof(pulse_sidecar_conf_t, smtp_password) },
    { "smtp-ca", offsetof(pulse_sidecar_conf_t, outbox.smtp.ca) },
    { "smtp-tls", offsetof(pulse_sidecar_conf_t, outbox.smtp.tls) },
    { "smtp-timeout", offsetof(pulse_sidecar_conf_t, smtp_timeout) }
};

#define PULSE_SIDECAR_TEXTS                                                   \
    (sizeof(pulse_sidecar_texts) / sizeof(pulse_sidecar_texts[0]))


static const char  pulse_sidecar_usage[] =
    "usage: pulse-sidecar --listen SOCKET [OPTION VALUE ...]\n"
    "\n"
    "  --listen          unix socket to make and serve on\n"
    "  --database        libpq keywords or URI; else $PULSE_DATABASE\n"
    "  --lease-ttl       after which a silent node's leases are taken back\n"
    "  --files           where people's files are kept; without it there are\n"
    "                    no documents\n"
    "  --files-key       key of links, made if there is none, DIR.key by\n"
    "                    default\n"
    "  --files-keep      after which files are removed, 30 days by default\n"
    "  --files-room      how much one person may keep, 1g by default\n"
    "  --clamd           unix socket of a scanner that looks at uploads\n"
    "  --edits           limits of edits, as image-pixels=50000000,jobs=3\n"
    "  --studio          unix socket of nginx, whose chat model writes\n"
    "                    outlines and summaries\n"
    "  --s3              https://HOST/BUCKET where files are kept, in place\n"
    "                    of --files; its key is $PULSE_S3_ACCESS_KEY and\n"
    "                    $PULSE_S3_SECRET_KEY\n"
    "  --s3-region       us-east-1 by default\n"
    "  --s3-style        path, or virtual: https://BUCKET.HOST/\n"
    "  --payments        JSON with the providers of payments; without it there\n"
    "                    are none\n"
    "  --models          the catalogue, conf/models.json; without it there are\n"
    "                    no images and no videos\n"
    "  --video-poll      seconds between two questions to the provider of a\n"
    "                    video, 5 by default\n"
    "  --images-timeout  seconds that providers of images may take, 240 by\n"
    "                    default and at most\n"
    "  --moderation      file of rules that prompts are checked by\n"
    "  --moderation-key  key of the hashes that the log has of refused texts,\n"
    "                    made if there is none; random by default\n"
    "  --moderation-timeout  seconds to wait for OpenAI's, 10 by default\n"
    "  --mail-from       sender of the mail; else $PULSE_MAIL_FROM\n"
    "  --mail-name       the sender's name; else $PULSE_MAIL_NAME\n"
    "  --mail-templates  directory with ar/ and en/, conf/mail by default\n"
    "  --mail-dir        development, without SMTP: mail goes there as .eml\n"
    "                    files, and sign-in links are logged\n"
    "  --smtp            smtp://HOST[:PORT] or smtps://HOST; else\n"
    "                    $PULSE_SMTP_URL\n"
    "  --smtp-user       else $PULSE_SMTP_USER\n"
    "  --smtp-password   file with it; else $PULSE_SMTP_PASSWORD itself\n"
    "  --smtp-ca         certificates of who may sign the server's\n"
    "  --smtp-tls        required, or none, which is for loopback alone and\n"
    "                    there the default\n"
    "  --smtp-timeout    seconds for a mail, 60 by default and at most\n";


int
main(int argc, char **argv)
{
    int                   rc;
    sigset_t              signals;
    pulse_sidecar_conf_t  conf;

    memset(&conf, 0, sizeof(pulse_sidecar_conf_t));

    pulse_sidecar_defaults(&conf);

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


static void
pulse_sidecar_defaults(pulse_sidecar_conf_t *conf)
{
    conf->work.conninfo = getenv("PULSE_DATABASE");
    conf->work.lease_ttl = "15 minutes";

    conf->s3_style = "path";
    conf->s3.region = "us-east-1";
    conf->s3.access = getenv("PULSE_S3_ACCESS_KEY");
    conf->s3.secret = getenv("PULSE_S3_SECRET_KEY");
    conf->s3.token = getenv("PULSE_S3_SESSION_TOKEN");

    conf->outbox.templates = "conf/mail";
    conf->outbox.from = getenv("PULSE_MAIL_FROM");
    conf->outbox.name = getenv("PULSE_MAIL_NAME");
    conf->outbox.smtp.url = getenv("PULSE_SMTP_URL");
    conf->outbox.smtp.user = getenv("PULSE_SMTP_USER");
    conf->outbox.smtp.password = getenv("PULSE_SMTP_PASSWORD");

    if (conf->outbox.from == NULL) {
        conf->outbox.from = "no-reply@studio.example";
    }

    if (conf->outbox.name == NULL) {
        conf->outbox.name = "Pulse AI Studio";
    }
}


static int
pulse_sidecar_options(int argc, char **argv, pulse_sidecar_conf_t *conf)
{
    int            i;
    ngx_uint_t     n;
    struct option  options[PULSE_SIDECAR_TEXTS + 1];

    memset(options, 0, sizeof(options));

    for (n = 0; n < PULSE_SIDECAR_TEXTS; n++) {
        options[n].name = pulse_sidecar_texts[n].name;
        options[n].has_arg = required_argument;
    }

    for ( ;; ) {
        switch (getopt_long(argc, argv, "", options, &i)) {

        case 0:
            *(const char **) ((u_char *) conf + pulse_sidecar_texts[i].offset)
                = optarg;
            break;

        case -1:
            return (conf->listen && conf->work.conninfo && optind == argc
                    && (conf->files_room == NULL
                        || pulse_files_set_room(conf->files_room) == NGX_OK)
                    && (conf->edits == NULL
                        || pulse_edit_set(conf->edits) == NGX_OK))
                   ? 0 : -1;

        default:
            return -1;
        }
    }
}


static int
pulse_sidecar_run(pulse_sidecar_conf_t *conf, sigset_t *signals)
{
    int                 signo;
    struct MHD_Daemon  *daemon;

    if (pulse_sidecar_configure(conf) != 0 || pulse_sidecar_answers(conf) != 0)
    {
        return 1;
    }

    daemon = pulse_http_start(conf->listen, PULSE_SIDECAR_THREADS,
                              pulse_routes());
    if (daemon == NULL) {
        return 1;
    }

    if (pulse_sidecar_works(conf) != 0) {
        pulse_http_stop(daemon, conf->listen);
        return 1;
    }

    pulse_sidecar_ready(conf);

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
pulse_sidecar_configure(pulse_sidecar_conf_t *conf)
{
    return (pulse_sidecar_documents(conf) == 0
            && pulse_sidecar_mail(conf) == 0
            && pulse_sidecar_money(conf) == 0
            && pulse_media_conf(conf->models) == NGX_OK
            && pulse_moderate_init(&conf->moderate) == NGX_OK
            && pulse_sidecar_video(conf) == 0
            && pulse_sidecar_images(conf) == 0)
           ? 0 : -1;
}


/* what requests need, before the first one comes */

static int
pulse_sidecar_answers(pulse_sidecar_conf_t *conf)
{
    int  rc;

    rc = pulse_pacer_start(PULSE_DEMO_TICK);

    if (rc == 0) {
        rc = pulse_worker_start(conf->work.conninfo);
    }

    if (rc == 0) {
        rc = pulse_watch_start(conf->work.conninfo);
    }

    if (rc == 0) {
        rc = pulse_chat_start(conf->studio);
    }

    return pulse_sidecar_started(rc);
}


static int
pulse_sidecar_works(pulse_sidecar_conf_t *conf)
{
    int  rc;

    pulse_jobs_add(pulse_upkeep_kinds);

    rc = pulse_jobs_start(conf->work.conninfo);

    if (rc == 0) {
        rc = pulse_work_start(&conf->work);
    }

    return pulse_sidecar_started(rc);
}


static int
pulse_sidecar_started(int rc)
{
    if (rc == 0) {
        return 0;
    }

    pulse_log(PULSE_LOG_ERR, "pulse sidecar: cannot start a thread: %s",
              strerror(rc));

    return -1;
}


static void
pulse_sidecar_ready(pulse_sidecar_conf_t *conf)
{
    pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: ready on \"%s\"",
              conf->listen);

    if (conf->files == NULL && conf->s3.url == NULL) {
        pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: there are no documents:"
                  " there is no --files");
    }

    if (conf->payments == NULL) {
        pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: there are no payments:"
                  " there is no --payments");
    }
}


static int
pulse_sidecar_documents(pulse_sidecar_conf_t *conf)
{
    if (conf->files == NULL && conf->s3.url == NULL) {
        return 0;
    }

    if (conf->files_keep) {
        pulse_files_keep(conf->files_keep);
    }

    if (pulse_sidecar_storage(conf) != 0) {
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
    pulse_jobs_add(pulse_edits_kinds);
    pulse_routes_add(pulse_routes_files);

    if (conf->models) {
        pulse_routes_add(pulse_routes_images);
    }

    return 0;
}


static int
pulse_sidecar_storage(pulse_sidecar_conf_t *conf)
{
    char         name[NGX_MAX_PATH];
    const char  *key, *wrong;

    if (conf->s3.url) {
        conf->s3.virtual = (strcmp(conf->s3_style, "virtual") == 0);

        wrong = (conf->s3.virtual || strcmp(conf->s3_style, "path") == 0)
                ? pulse_s3_open(&conf->s3) : "no such --s3-style";

        if (wrong) {
            pulse_log(PULSE_LOG_ERR, "pulse sidecar: files cannot be kept at"
                      " \"%s\": %s", conf->s3.url, wrong);
            return -1;
        }

        pulse_shelf_open_bucket();

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

    return 0;
}


static int
pulse_sidecar_money(pulse_sidecar_conf_t *conf)
{
    if (conf->payments == NULL) {
        return 0;
    }

    if (pulse_payments_init(conf->payments, conf->work.conninfo) != NGX_OK) {
        return -1;
    }

    pulse_jobs_add(pulse_payments_kinds);
    pulse_routes_add(pulse_routes_payments);

    return 0;
}


static int
pulse_sidecar_video(pulse_sidecar_conf_t *conf)
{
    if (conf->models == NULL || (conf->files == NULL && conf->s3.url == NULL))
    {
        return 0;
    }

    if (pulse_video_open(conf->video_poll) != NGX_OK) {
        return -1;
    }

    pulse_jobs_add(pulse_video_kinds);
    pulse_routes_add(pulse_routes_video);

    return 0;
}


static int
pulse_sidecar_images(pulse_sidecar_conf_t *conf)
{
    ngx_uint_t  seconds;

    if (conf->images_timeout == NULL) {
        return 0;
    }

    seconds = strtoul(conf->images_timeout, NULL, 10);

    if (seconds == 0 || seconds > PULSE_IMAGE_TIMEOUT) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: --images-timeout is 1 to %d"
                  " seconds", PULSE_IMAGE_TIMEOUT);
        return -1;
    }

    pulse_image_timeout(seconds);

    return 0;
}


static int
pulse_sidecar_mail(pulse_sidecar_conf_t *conf)
{
    const char    *reason;
    pulse_smtp_t  *smtp;

    smtp = &conf->outbox.smtp;

    if (conf->smtp_password) {
        smtp->password = pulse_sidecar_secret(conf->smtp_password);

        if (smtp->password == NULL) {
            return -1;
        }
    }

    smtp->timeout = PULSE_SMTP_TIMEOUT;

    if (conf->smtp_timeout) {
        smtp->timeout = strtoul(conf->smtp_timeout, NULL, 10);

        if (smtp->timeout == 0 || smtp->timeout > PULSE_SMTP_TIMEOUT) {
            pulse_log(PULSE_LOG_ERR, "pulse sidecar: --smtp-timeout is 1 to"
                      " %d seconds", PULSE_SMTP_TIMEOUT);
            return -1;
        }
    }

    reason = pulse_outbox_init(&conf->outbox);

    if (reason) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: mail cannot be sent: %s",
                  reason);
        return -1;
    }

    return 0;
}


/* the first line of a file; it is kept until the end */

static char *
pulse_sidecar_secret(const char *file)
{
    char             *secret;
    ngx_pulse_buf_t   b;

    ngx_pulse_buf_init(&b, PULSE_SIDECAR_SECRET);

    if (pulse_file_read(file, &b) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: \"%s\" cannot be read: %s",
                  file, strerror(errno));
        ngx_pulse_buf_free(&b);
        return NULL;
    }

    ngx_pulse_buf_char(&b, '\0');

    secret = b.failed ? NULL : strdup((char *) b.data);

    if (secret) {
        secret[strcspn(secret, "\r\n")] = '\0';
    }

    ngx_pulse_buf_free(&b);

    return secret;
}
